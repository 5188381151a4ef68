// Bins of a spectrum, each with its azimuth, to powers by band of frequency and azimuth.

const TILT_DB = 3; // by so much a band counts more than one an octave lower: music falls by that
const TILTED_AROUND_HZ = 1000;
// of a column, and of those one and two beside it: a Gaussian with a deviation of 1 degree
const BLUR = [0.403, 0.244, 0.0545];

export class Bins {
  #bin_hz = 0;

  constructor({ azimuths, bands_hz, floor_db, top_db }) {
    Object.assign(this, { columns: azimuths, rows: bands_hz.length - 1, edges: bands_hz });
    const cells = this.columns * this.rows;
    this.power = new Float32Array(cells);
    this.taken = new Float32Array(cells);
    this.sharp = new Float32Array(2 * this.columns);
    const step = (top_db - floor_db) / 255;
    const codes = { length: 256 };
    this.powers = Float32Array.from(codes, (_, k) => (k ? 10 ** ((floor_db + k * step) / 10) : 0));
    this.places = Float32Array.from(codes, (_, k) => place(k, this.columns));
  }

  // Sum bins into `power` and `taken`, which is what of it is the target's.
  take(bin_hz, directions, levels, shares) {
    if (bin_hz !== this.#bin_hz) this.#overlap(bin_hz, levels.length);
    const { columns, rows, sharp, powers, places } = this;
    for (let row = 0; row < rows; row++) {
      sharp.fill(0);
      for (const [bin, weight] of this.bands[row]) {
        const power = weight * powers[levels[bin]];
        const column = Math.floor(places[directions[bin]]);
        const right = (places[directions[bin]] - column) * power; // is the column's beside it
        const share = shares[bin] / 255;
        sharp[column] += power - right;
        sharp[columns + column] += (power - right) * share;
        if (!right) continue;
        sharp[column + 1] += right;
        sharp[columns + column + 1] += right * share;
      }
      blur(sharp, 0, this.power, row * columns, columns);
      blur(sharp, columns, this.taken, row * columns, columns);
    }
  }

  // Find the bins of each band. A bin goes to the bands that it overlaps, so that low bands,
  // narrower than a bin, are not empty.
  #overlap(bin_hz, bins) {
    this.#bin_hz = bin_hz;
    this.bands = Array.from({ length: this.rows }, (_, row) => {
      const [low, high] = [this.edges[row], this.edges[row + 1]];
      const density = Math.max(bin_hz / (high - low), 1); // else a narrow band would be dark
      const tilt = 10 ** (TILT_DB * Math.log2(low / TILTED_AROUND_HZ) / 10);
      const found = [];
      for (let bin = 0; bin < bins; bin++) {
        const share = Math.min((bin + 1.5) * bin_hz, high) - Math.max((bin + 0.5) * bin_hz, low);
        if (share > 0) found.push([bin, share / bin_hz * density * tilt]);
      }
      return found;
    });
  }
}

// The column of a direction as it is sent; what is out of phase is on its louder side.
function place(code, columns) {
  const azimuth = (code - 128) / 128; // from 0 to 1; out of phase from -1 to 0
  const within = azimuth >= 0 ? azimuth : Number(azimuth < -0.5);
  return Math.min(within, 1) * (columns - 1);
}

function blur(from, start, to, at, length) {
  for (let k = 0; k < length; k++) {
    let sum = BLUR[0] * from[start + k];
    for (let reach = 1; reach < BLUR.length; reach++) {
      if (k >= reach) sum += BLUR[reach] * from[start + k - reach];
      if (k + reach < length) sum += BLUR[reach] * from[start + k + reach];
    }
    to[at + k] = sum;
  }
}
