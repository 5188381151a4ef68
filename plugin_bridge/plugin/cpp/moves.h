// Controls that move within a block, in memory that is made once.
#pragma once

#include <algorithm>
#include <cstdint>

namespace stemsteer {

// A value from `offset` frames into the block on.
struct Move {
    uint32_t offset, order, id;
    float value;
};

class Moves {
public:
    // False: there is no room, and no earlier move of the control that could take the value.
    bool add(uint32_t id, float value, uint32_t offset) {
        if (count_ < kMost) {
            moves_[count_] = {offset, count_, id, value};
            return ++count_;
        }
        for (uint32_t i = count_; i-- > 0;)
            if (moves_[i].id == id)
                return moves_[i].value = value, true;
        return false;
    }

    // By place, and at one place as they were added.
    void sort() {
        std::sort(moves_, moves_ + count_, [](const Move& a, const Move& b) {
            return a.offset != b.offset ? a.offset < b.offset : a.order < b.order;
        });
    }

    void clear() { count_ = 0; }
    const Move* begin() const { return moves_; }
    const Move* end() const { return moves_ + count_; }

private:
    static constexpr uint32_t kMost = 2048;

    Move moves_[kMost];
    uint32_t count_ = 0;
};

}  // namespace stemsteer
