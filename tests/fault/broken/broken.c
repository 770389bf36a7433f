/* broken/broken.c - a small sound plugin, in which one thing is broken: the build chooses the constructor, the entry, enumerate
 * or the manifest (-DBROKEN_CONSTRUCTOR=aborts and so on). Everything that can be chosen is a function or a macro here. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitnet/plugin.h"

#if defined(__x86_64__)
#  include <xmmintrin.h>
#endif

#define OFFERED __attribute__((unused)) static /* to be chosen; most are not */

/* --------------------------------------------------------------------------------------------------- manifests */
#define WITH(schema, abi, arch, cpu)                                                                              \
  "{" schema "\"abi\": [" abi ", 0], \"id\": \"org.example." BROKEN_NAME "\", \"name\": \"" BROKEN_NAME           \
  "\", \"version\": \"1.0.0\", \"kind\": \"cpu\", \"tiers\": [\"kernels\"], \"arch\": [" arch "], \"cpu\": [" cpu \
  "], \"numerics\": \"exact-1\"}"
#define SCHEMA "\"schema\": 1, "
#define HERE "\"x86_64\", \"aarch64\""
#define TIMES8(text) text text text text text text text text
#define BLANKS4K TIMES8(TIMES8(TIMES8("        ")))
#define kSound WITH(SCHEMA, "1", HERE, "")
#define kNoJson "this is a plugin, honestly"
#define kTooBig kSound TIMES8(BLANKS4K) TIMES8(BLANKS4K)
#define kMissingKey WITH("", "1", HERE, "")
#define kAbiTwo WITH(SCHEMA, "2", HERE, "")
#define kOtherArch WITH(SCHEMA, "1", "\"vax\"", "")
#define kOtherCpu WITH(SCHEMA, "1", HERE, "\"telepathy\"")

#if !defined(BROKEN_MANIFEST)
#  define BROKEN_MANIFEST kSound
#endif
BN_MANIFEST(BROKEN_MANIFEST);

/* ------------------------------------------------------------------------------------- what a constructor can do */
OFFERED int in_the_probe(void) { return strcmp(program_invocation_short_name, "bn_probe") == 0; }

OFFERED void does_nothing(void) {}
OFFERED void aborts(void) { abort(); }
OFFERED void exits(void) { exit(0); }
OFFERED void crashes(void) { raise(SIGSEGV); }
OFFERED void hangs(void) {
  for (;;) pause();
}
OFFERED void prints(void) { printf("Thank you for choosing " BROKEN_NAME); }
OFFERED void floods(void) {
  for (;;) {
    if (write(STDOUT_FILENO, BLANKS4K, 4096) < 0) return;
  }
}
#if defined(__x86_64__)
OFFERED void flushes_to_zero(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }
#else
OFFERED void flushes_to_zero(void) { __asm__ volatile("msr fpcr, %0" ::"r"(1ull << 24)); }
#endif
OFFERED void* waits(void* nothing) {
  pause();
  return nothing;
}
OFFERED void starts_a_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, waits, NULL);
}
OFFERED void closes_descriptors(void) {
  for (int fd = 0; fd < 64; ++fd) close(fd);
}
OFFERED void forks(void) {
  if (fork() == 0) hangs();
}
/* Leaves the process group, and its parent ends at once. */
OFFERED void starts_a_daemon(void) {
  if (fork() != 0) return;
  setsid();
  if (fork() != 0) _exit(0);
  hangs();
}
OFFERED void handles_signals(void) { signal(SIGTERM, _exit); }
OFFERED void changes_folder(void) {
  if (chdir("/") != 0) abort();
}
OFFERED void forges_an_answer(void) { dprintf(3, "{\"schema\": 1, \"ok\": true, \"devices\": []}\n"); }
OFFERED void answers_endlessly(void) {
  for (;;) {
    if (write(3, BLANKS4K, 4096) < 0) return;
  }
}
/* Creates the file that BROKEN_MARK names, anywhere but in the probe. */
OFFERED void leaves_a_mark(void) {
  const char* path = getenv("BROKEN_MARK");
  if (path != NULL && !in_the_probe()) close(open(path, O_CREAT | O_WRONLY, 0600));
}
void bitnet_absent_function(void); /* of absent_library.c */
#define calls_the_absent_library bitnet_absent_function

#if !defined(BROKEN_CONSTRUCTOR)
#  define BROKEN_CONSTRUCTOR does_nothing
#endif
__attribute__((constructor)) static void constructor(void) { BROKEN_CONSTRUCTOR(); }

/* --------------------------------------------------------------------------------------- what enumerate can do */
static const char* g_device = "one";

OFFERED void shows_another_device(void) {
  if (!in_the_probe()) g_device = "other";
}
static int g_refuses = 0;
OFFERED void refuses_outside_the_probe(void) { g_refuses = !in_the_probe(); }

#if !defined(BROKEN_ENUMERATE)
#  define BROKEN_ENUMERATE does_nothing
#endif
static bn_status enumerate(const bn_host* host, uint32_t index, bn_device_info* info, bn_error* error) {
  (void)host;
  BROKEN_ENUMERATE();
  if (g_refuses) {
    strcpy(error->message, "I have changed my mind");
    return BN_E_INTERNAL;
  }
  if (index > 0) return BN_E_UNSUPPORTED;
  info->kind = BN_DEV_CPU;
  strcpy(info->id, g_device);
  strcpy(info->name, BROKEN_NAME);
  return BN_OK;
}

static bn_status no_device(const bn_host* host, const char* id, const char* options, bn_device** device, bn_error* error) {
  (void)host, (void)id, (void)options, (void)device, (void)error;
  return BN_E_UNSUPPORTED;
}
static void nothing_to_close(bn_device* device) { (void)device; }
static const void* no_interface(bn_device* device, const char* id) {
  (void)device, (void)id;
  return NULL;
}

static bn_plugin g_plugin = {72,        BN_ABI_MINOR, "org.example." BROKEN_NAME, "1.0.0",     "broken", 0,
                             enumerate, no_device,    nothing_to_close,           no_interface};

/* -------------------------------------------------------------------------------------------- what the entry can do */
static const bn_plugin* g_answer = &g_plugin;

OFFERED void answers_wildly(void) { g_answer = (const bn_plugin*)(uintptr_t)0x10; }
OFFERED void says_another_id(void) {
  if (!in_the_probe()) g_plugin.id = "org.example.somebody-else";
}

#if !defined(BROKEN_ENTRY)
#  define BROKEN_ENTRY does_nothing
#endif
const bn_plugin* bitnet_plugin_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  BROKEN_ENTRY();
  return g_answer;
}
