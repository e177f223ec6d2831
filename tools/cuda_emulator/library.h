// What the stand-ins for CUDA's libraries share: their work is done at once, or recorded where the
// stream is recorded.
#pragma once
#include <utility>

static void* (*capture_of)(void*);
static void (*record)(void*, void (*)(void*), void*);
static unsigned long calls;

extern "C" void emulator_bind(void* capture, void* recorder) {
  capture_of = reinterpret_cast<void* (*)(void*)>(capture);
  record = reinterpret_cast<void (*)(void*, void (*)(void*), void*)>(recorder);
}
static int lost;  // from now on every call fails
extern "C" void emulator_lose(int error) { lost = error; }
extern "C" unsigned long emulator_calls() { return calls; }

template <class Work>
static void submit(void* stream, Work work) {
  ++calls;
  void* graph = capture_of ? capture_of(stream) : nullptr;
  if (!graph) return work();
  record(graph, [](void* p) { (*static_cast<Work*>(p))(); }, new Work(std::move(work)));
}
