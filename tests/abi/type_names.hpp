// abi/type_names.hpp - prints one line per fact of the plugin ABI; included by the program that abi_listing.cpp writes.
//
// Types are spelled the same by every compiler: i32, const f32*, i32(bn_device*, const bn_tensor*).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <type_traits>

template <class T>
struct Spelled;

template <class T>
std::string spelled() {
  if constexpr (std::is_const_v<T> && !std::is_pointer_v<T>) {
    return "const " + spelled<std::remove_const_t<T>>();
  } else if constexpr (std::is_volatile_v<T>) {
    return "volatile " + spelled<std::remove_volatile_t<T>>();
  } else if constexpr (std::is_same_v<T, char>) {
    return "char";
  } else if constexpr (std::is_void_v<T>) {
    return "void";
  } else if constexpr (std::is_arithmetic_v<T>) {
    return (std::is_floating_point_v<T> ? "f" : std::is_signed_v<T> ? "i" : "u") + std::to_string(8 * sizeof(T));
  } else {
    return Spelled<T>::name();
  }
}

template <class T>
struct Spelled<T*> {
  static std::string name() { return spelled<T>() + "*"; }
};
template <class T>
struct Spelled<T* const> {
  static std::string name() { return spelled<T>() + "* const"; }
};
template <class T, size_t N>
struct Spelled<T[N]> {
  static std::string name() { return spelled<T>() + "[" + std::to_string(N) + "]"; }
};
template <class R, class... Args>
struct Spelled<R(Args...)> {
  static std::string name() {
    std::string args;
    ((args += (args.empty() ? "" : ", ") + spelled<Args>()), ...);
    return spelled<R>() + "(" + args + ")";
  }
};

#define ABI_NAMED(type)                         \
  template <>                                   \
  struct Spelled<type> {                        \
    static std::string name() { return #type; } \
  };
#define ABI_STRUCT(type) std::printf("struct %s = %zu bytes, align %zu\n", #type, sizeof(type), alignof(type));
#define ABI_FIELD(type, field)                                                                                    \
  std::printf("field %s.%s = at %zu, %zu bytes, %s\n", #type, #field, offsetof(type, field), sizeof(type::field), \
              spelled<decltype(type::field)>().c_str());
#define ABI_VALUE(name) std::printf("value %s = %lld\n", #name, static_cast<long long>(name));
#define ABI_TEXT(name) std::printf("text %s = %s\n", #name, name);
#define ABI_BYTES(name)                                          \
  {                                                              \
    const uint8_t bytes[] = name;                                \
    std::printf("bytes %s = ", #name);                           \
    for (const unsigned byte : bytes) std::printf("%02x", byte); \
    std::printf("\n");                                           \
  }
