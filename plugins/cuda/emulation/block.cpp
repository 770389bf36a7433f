// emulation/block.cpp - a block of threads as fibers of one host thread.
#include "block.h"

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#  define BN_HAS_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define BN_HAS_ASAN 1
#  endif
#endif
#if defined(BN_HAS_ASAN)
#  include <sanitizer/common_interface_defs.h>
#endif

namespace bn_cuda::emulation {
namespace {

namespace context = boost::context;

constexpr size_t kStackBytes = 128 * 1024;
constexpr uint32_t kScheduler = 0xFFFFFFFFu;

// Tells the address sanitizer that the stack changes; a no-op without it.
class StackSwitch {
 public:
#if defined(BN_HAS_ASAN)
  void leave_to(const void* bottom, size_t bytes, bool for_ever = false) {
    __sanitizer_start_switch_fiber(for_ever ? nullptr : &fake_stack_, bottom, bytes);
  }
  void arrived(const void** from_bottom = nullptr, size_t* from_bytes = nullptr) {
    __sanitizer_finish_switch_fiber(fake_stack_, from_bottom, from_bytes);
  }

 private:
  void* fake_stack_ = nullptr;
#else
  void leave_to(const void*, size_t, bool = false) {}
  void arrived(const void** = nullptr, size_t* = nullptr) {}
#endif
};

// Stacks are kept from launch to launch: making one costs more than most kernels run.
struct Stack {
  std::unique_ptr<uint8_t[]> bytes = std::make_unique<uint8_t[]>(kStackBytes);
};
class KeptStacks {  // a boost::context stack allocator over one kept stack
 public:
  explicit KeptStacks(Stack& stack) : stack_(&stack) {}
  context::stack_context allocate() {
    context::stack_context c;
    c.size = kStackBytes;
    c.sp = stack_->bytes.get() + kStackBytes;
    return c;
  }
  void deallocate(context::stack_context&) noexcept {}

 private:
  Stack* stack_;
};

struct Warp {
  uint32_t arrived = 0, generation = 0;
  Slot slots[2][32];
};

// Copies to shared memory that a thread asked for and has not waited for.
struct Copies {
  struct Copy {
    void* to;
    const void* from;
    uint32_t bytes, group;
  };
  std::vector<Copy> open;
  uint32_t group = 0;  // the one that is being filled

  void finish(uint32_t groups_left) {
    size_t n = 0;
    for (; n < open.size() && open[n].group + groups_left < group; ++n) std::memcpy(open[n].to, open[n].from, open[n].bytes);
    open.erase(open.begin(), open.begin() + static_cast<std::ptrdiff_t>(n));
  }
  void forget() {
    open.clear();
    group = 0;
  }
};

struct Thread {
  context::fiber fiber;  // empty while it runs, and after its end
  bool done = false;
  Copies copies;
};

class Block {
 public:
  Block(const Kernel& kernel, const Shape& shape, const void* args, std::vector<Stack>& stacks)
      : kernel_(kernel), args_(args), warps_(shape.threads / 32), threads_(shape.threads), stacks_(stacks) {
    place_ = {0, shape.threads, 0, 0, shape.grid_x, shape.grid_y, nullptr};
    shared_.resize((shape.shared_bytes + 15) / 16 + 1);
  }

  // backwards: the last warp and the last lane first, so that a missing barrier shows in one of the two orders.
  void run(uint32_t x, uint32_t y, bool backwards);
  const Place& place() const { return place_; }
  Copies& copies() { return threads_[place_.thread].copies; }

  void meet_block() {
    const uint32_t generation = generation_;
    if (++arrived_ == threads_.size()) {
      arrived_ = 0;
      ++generation_;
      ++progress_;
      return;
    }
    while (generation_ == generation) yield();
  }

  const Slot* meet_warp(const uint32_t* words, uint32_t n) {
    const uint32_t self = place_.thread;
    Warp& warp = warps_[self / 32];
    const uint32_t generation = warp.generation;
    Slot* slots = warp.slots[generation % 2];
    for (uint32_t i = 0; i < n; ++i) slots[self % 32].word[i] = words[i];
    if (++warp.arrived == 32) {
      warp.arrived = 0;
      ++warp.generation;
      ++progress_;
    } else if (const uint32_t next = self / 32 * 32 + (self + (backwards_ ? 31 : 1)) % 32;
               warp.generation == generation && threads_[next].fiber) {
      switch_to(next);  // straight to the next lane, which most often arrives here too
    }
    while (warp.generation == generation) yield();
    return slots;
  }

 private:
  // Leaves the running thread for `next`, a thread or kScheduler; returns when somebody comes back to it.
  void switch_to(uint32_t next) {
    const uint32_t self = running_;
    StackSwitch stack;
    if (next == kScheduler) {
      stack.leave_to(scheduler_bottom_, scheduler_bytes_);
    } else {
      stack.leave_to(stacks_[next].bytes.get(), kStackBytes);
    }
    context::fiber target = std::move(next == kScheduler ? scheduler_ : threads_[next].fiber);
    left_ = self;
    running_ = next;
    keep(std::move(target).resume());
    stack.arrived();
    running_ = self;
    if (self != kScheduler) place_.thread = self;
  }
  // What a resume() gives is the fiber that was left for this one.
  void keep(context::fiber&& from) {
    if (!from) return;  // it has ended
    (left_ == kScheduler ? scheduler_ : threads_[left_].fiber) = std::move(from);
  }
  void yield() { switch_to(kScheduler); }

  void start(uint32_t thread) {
    threads_[thread].done = false;
    threads_[thread].copies.forget();
    threads_[thread].fiber =
        context::fiber(std::allocator_arg, KeptStacks(stacks_[thread]), [this, thread](context::fiber&& from) {
          const void* bottom = nullptr;
          size_t bytes = 0;
          StackSwitch stack;
          stack.arrived(&bottom, &bytes);
          if (left_ == kScheduler && scheduler_bottom_ == nullptr) {
            scheduler_bottom_ = bottom;
            scheduler_bytes_ = bytes;
          }
          keep(std::move(from));
          place_.thread = thread;
          kernel_.on_host(args_);
          threads_[thread].done = true;
          ++progress_;
          left_ = thread;
          stack.leave_to(scheduler_bottom_, scheduler_bytes_, true);
          return std::move(scheduler_);
        });
  }

  const Kernel& kernel_;
  const void* args_;
  Place place_{};
  std::vector<Warp> warps_;
  std::vector<Thread> threads_;
  std::vector<Stack>& stacks_;
  std::vector<Words4> shared_;
  context::fiber scheduler_;  // what runs when no thread does; empty while it runs
  uint32_t running_ = kScheduler, left_ = kScheduler;
  const void* scheduler_bottom_ = nullptr;
  size_t scheduler_bytes_ = 0;
  uint32_t arrived_ = 0, generation_ = 0;
  bool backwards_ = false;
  uint64_t progress_ = 0;  // meetings completed and threads ended
};

thread_local Block* current = nullptr;

void Block::run(uint32_t x, uint32_t y, bool backwards) {
  backwards_ = backwards;
  place_.block_x = x;
  place_.block_y = y;
  std::memset(shared_.data(), 0xFF, shared_.size() * sizeof(Words4));  // NaN to who reads what nobody wrote
  place_.shared = shared_.data();
  const uint32_t n = static_cast<uint32_t>(threads_.size());
  for (uint32_t i = 0; i < n; ++i) start(i);
  uint32_t left = n;
  while (left != 0) {
    const uint64_t before = progress_;
    left = 0;
    for (uint32_t i = 0; i < n / 32; ++i) {  // one warp as far as it goes, then the next
      const uint32_t first = 32 * (backwards ? n / 32 - 1 - i : i);
      uint64_t warp_before;
      do {
        warp_before = progress_;
        for (uint32_t k = 0; k < 32; ++k) {
          const uint32_t thread = first + (backwards ? 31 - k : k);
          if (!threads_[thread].done) switch_to(thread);
        }
      } while (progress_ != warp_before);
      for (uint32_t k = 0; k < 32; ++k) left += !threads_[first + k].done;
    }
    if (progress_ == before) {
      throw std::logic_error("kernel " + std::string(kernel_.name) + ", block " + std::to_string(x) + "," + std::to_string(y) +
                             ": " + std::to_string(left) + " threads wait for others that never come");
    }
  }
}

}  // namespace

const Place& place() { return current->place(); }
void meet_block() { current->meet_block(); }
const Slot* meet_warp(const uint32_t* words, uint32_t n) { return current->meet_warp(words, n); }
void copy_later(void* shared, const void* global, uint32_t bytes) {
  Copies& copies = current->copies();
  copies.open.push_back({shared, global, bytes, copies.group});
}
void end_copy_group() { ++current->copies().group; }
void finish_copies(uint32_t groups_left) { current->copies().finish(groups_left); }

void launch(const Kernel& kernel, const Shape& shape, const void* args) {
  if (kernel.on_host == nullptr || shape.threads == 0 || shape.threads % 32 != 0 || shape.threads > 1024 || shape.grid_x == 0 ||
      shape.grid_y == 0 || shape.grid_y > 65535) {
    throw std::logic_error("kernel " + std::string(kernel.name) + ": impossible launch");
  }
  thread_local std::vector<Stack> stacks;
  if (stacks.size() < shape.threads) stacks.resize(shape.threads);
  Block block(kernel, shape, args, stacks);
  struct Scope {
    explicit Scope(Block* b) : outer(current) { current = b; }
    ~Scope() { current = outer; }
    Block* outer;
  } scope(&block);
  thread_local uint32_t turn = 0;
  ++turn;
  for (uint32_t y = 0; y < shape.grid_y; ++y) {
    for (uint32_t x = 0; x < shape.grid_x; ++x) block.run(x, y, (turn + x + y) % 2 != 0);
  }
}

}  // namespace bn_cuda::emulation
