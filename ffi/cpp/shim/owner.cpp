#include "shim/owner.h"

#include "shim/lane.h"

#include <set>

namespace saur {
namespace {

struct Owner {
    std::vector<saur_queue *> queues;
    std::set<saur_lane *>     lanes;
    std::set<saur_model *>    models;

    // Also runs when the process exits, for the thread that calls exit(): running passes then stop at once.
    ~Owner() {
        std::string ignored;
        guarded(ignored, [&] {
            for (saur_queue * queue : queues) {
                queue->set_notify(nullptr);  // the queue itself stays: lanes that still run announce themselves there
            }
            for (saur_lane * lane : lanes) {
                lane->free();
            }
            for (saur_model * model : models) {
                delete model;
            }
            return (int32_t) SAUR_OK;
        });
    }
};

Owner & owner() {
    static thread_local Owner one;
    return one;
}

}  // namespace

void own(saur_queue * queue) { owner().queues.push_back(queue); }
void own(saur_lane * lane) { owner().lanes.insert(lane); }
void own(saur_model * model) { owner().models.insert(model); }
void disown(saur_lane * lane) { owner().lanes.erase(lane); }
void disown(saur_model * model) { owner().models.erase(model); }

}  // namespace saur
