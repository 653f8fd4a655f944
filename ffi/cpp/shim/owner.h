// What a JavaScript thread has made and not freed. A worker that is terminated runs no more JavaScript, no finaliser
// either, so its lanes and models are freed when its thread ends.
#pragma once

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

}  // namespace saur
