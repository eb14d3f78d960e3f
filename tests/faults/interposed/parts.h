#pragma once
// A library that takes the place of libc's file functions in a program (LD_PRELOAD), and makes one of them fail, or
// kills the program at it, or records them all. Only calls on paths under LORA_FAULT_DIRECTORY count, from 1 on, in the
// order in which the program makes them. All is set by environment variables:
//   LORA_FAULT_DIRECTORY=DIR   calls on files under DIR count
//   LORA_FAULT_TRACE=FILE      one line a counted call: its name, a space, and its path
//   LORA_FAULT_CALL=K          the fault happens at the K-th counted call
//   LORA_FAULT=kill            SIGKILL instead of the call
//   LORA_FAULT=kill-after      SIGKILL when the call has been made
//   LORA_FAULT=short           a write writes half of its bytes
//   LORA_FAULT=fail:E          the call fails with errno E
//   LORA_FAULT=fail-on:E       that call and all later ones of its kind fail with errno E
//   LORA_FAULT_RECORD=FILE     appends what changes the disk to FILE, for a replay; the format is in recording.h
//   LORA_FAULT_NO_SYNC=1       fsync does nothing, and is not recorded: the fault that a replay has to find
//   LORA_FAULT_ALLOCATION=N    the N-th allocation of memory fails
//   LORA_FAULT_STACK=FILE      appends to FILE where that was: a frame a line
//   LORA_FAULT_ALLOCATIONS=FILE  the number of allocations is written there at exit
//   LORA_FAULT_CLOCK=1         the time of day jumps by hours, forwards and back, at every look
//   LORA_FAULT_SERVE=1         a program that waits: see serve() in program.cpp
// A fault applies to calls that change the disk where LORA_FAULT is kill or kill-after: between two of those a kill
// leaves the same. LORA_FAULT_CALL then counts these alone.

#include <dlfcn.h>

namespace interposed {

// Each reads its variables, and counts from the beginning.
void begin_files();
void begin_memory();
void begin_clock();

// 0 where it is not set.
long number(const char* name);
// -1 where it is not set. The descriptor is out of the program's way.
int open_for_append(const char* name);

template <typename F>
F* real(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}
// The next library's function of the same name.
#define REAL(name)                                                     \
  static auto* const next = interposed::real<decltype(::name)>(#name); \
  const auto call_next = next

}  // namespace interposed
