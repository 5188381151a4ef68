// Plays the blocks that come, left and right by turns; where none has come there is silence.

const START_S = 0.1; // of sound that is there before it begins, so that a late block is no gap
const MOST_S = 0.6; // of sound that waits: more is left out, to be near to what is done

class Stemsteer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = [];
    this.samples = this.at = 0;
    this.starved = true;
    this.port.onmessage = ({ data }) => {
      const block = new Float32Array(data);
      this.blocks.push(block);
      this.samples += block.length / 2;
      while (this.samples > MOST_S * sampleRate) this.#drop();
      if (this.samples > START_S * sampleRate) this.starved = false;
    };
  }

  #drop() {
    this.samples -= this.blocks.shift().length / 2;
    this.at = 0;
  }

  process(_, [[left, right]]) {
    for (let k = 0; k < left.length && !this.starved; k++) {
      const [block] = this.blocks;
      left[k] = block[this.at];
      right[k] = block[this.at + 1];
      this.at += 2;
      if (this.at < block.length) continue;
      this.#drop();
      this.starved = this.blocks.length === 0;
    }
    return true;
  }
}

registerProcessor("stemsteer", Stemsteer);
