#include "shim/owner.h"

#include "shim/lane.h"

#include <chrono>
#include <set>

namespace saur {
namespace {

constexpr std::chrono::seconds PATIENCE{ 10 };

struct Owner {
    int32_t                   run = 0;
    std::vector<saur_queue *> queues;
    std::set<saur_lane *>     lanes;
    std::set<saur_model *>    models;

    // Also runs when the process exits, for the thread that calls exit(): running passes then stop at once.
    ~Owner() { free_all(nullptr); }

    void free_all(const std::shared_ptr<LaneEnds> & ends) {
        std::string ignored;
        guarded(ignored, [&] {
            for (saur_queue * queue : queues) {
                queue->set_notify(nullptr);  // the queue itself stays: lanes that still run announce themselves there
            }
            for (saur_lane * lane : lanes) {
                lane->free(ends);
            }
            for (saur_model * model : models) {
                delete model;
            }
            queues.clear();
            lanes.clear();
            models.clear();
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

void begin_run(int32_t run) {
    Owner & one = owner();
    if (one.run != 0 && run != 0 && one.run != run) {
        const auto ends = std::make_shared<LaneEnds>(one.lanes.size());
        one.free_all(ends);
        ends->wait(PATIENCE);
    }
    one.run = run != 0 ? run : one.run;
}

}  // namespace saur
