// What a JavaScript thread has made and not freed. A worker that is terminated runs no more JavaScript, no finaliser
// either, so its lanes and models are freed when its thread ends. A watcher ends a program and runs it anew on the same
// thread, so what the program left is freed when the next one makes its queue.
#pragma once

#include <cstdint>

struct saur_lane;
struct saur_model;
struct saur_queue;

namespace saur {

// Called on the JavaScript thread, as every export is that makes or frees one of these.
void own(saur_queue * queue);
void own(saur_lane * lane);
void own(saur_model * model);
void disown(saur_lane * lane);
void disown(saur_model * model);

// Tells which run of JavaScript on this thread calls, 0 if it does not know. One that is not the last one's says that that
// one is dead: what it left is freed, and its lanes have come to their end (or 10 s have passed) when this returns.
void begin_run(int32_t run);

}  // namespace saur
