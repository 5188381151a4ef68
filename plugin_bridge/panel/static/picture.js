// A picture as the server sends it, and what is kept of those before: means, peaks, and time.

import { Bins } from "./bins.js";

const HEADER_BYTES = 20;
const DRAWN_DB = 100; // from 0 to 1 in what is drawn
const RISE = 0.4; // weight of a new picture in the mean where it is louder,
const SINK = 0.035; // and where it is not: about the last second counts
const FALL = 0.985; // of a peak that is held, from picture to picture
const SLOW = 0.01; // weight in the profile in which directions are looked for
const DIP = 0.25; // how far the profile falls on both sides of a direction that stands out
const LEAST = 0.08; // of the highest: lower ones do not stand out

export class Picture {
  columns = 0;
  rows = 0;
  null_db = NaN;
  correlation = NaN;
  difference_db = NaN;
  n_pictures = 0;
  peaks = [];

  start(fixed) {
    const rows = fixed.bands_hz.length - 1;
    if (fixed.azimuths === this.columns && rows === this.rows) return;
    Object.assign(this, { columns: fixed.azimuths, rows, bins: new Bins(fixed) });
    this.clear();
  }

  clear() {
    const cells = this.columns * this.rows;
    this.mean = new Float32Array(cells);
    this.peak = new Float32Array(cells);
    this.share = new Float32Array(cells);
    this.profile = new Float32Array(this.columns); // energy by azimuth, over many seconds
    this.line = new Float32Array(this.columns); // of this picture
    this.lineShare = new Float32Array(this.columns);
    this.top = 0.5;
    this.peaks = [];
    this.null_db = this.correlation = this.difference_db = NaN;
  }

  take(buffer) {
    const length = (buffer.byteLength - HEADER_BYTES) / 3;
    if (!this.columns || length <= 0 || !Number.isInteger(length)) return false;
    const head = new DataView(buffer);
    this.seconds = head.getFloat32(0, true);
    this.null_db = head.getFloat32(4, true);
    this.correlation = head.getFloat32(8, true);
    this.difference_db = head.getFloat32(12, true);
    const [directions, levels, shares] =
      [0, 1, 2].map((k) => new Uint8Array(buffer, HEADER_BYTES + k * length, length));
    this.bins.take(head.getFloat32(16, true), directions, levels, shares);
    this.#average(this.bins);
    this.#sum(this.bins);
    this.n_pictures += 1;
    return true;
  }

  #average({ power, taken }) {
    const { mean, peak, share } = this;
    let highest = 0;
    for (let k = 0; k < power.length; k++) {
      const level = power[k] ? Math.min(Math.max(1 + 10 * Math.log10(power[k]) / DRAWN_DB, 0), 1) : 0;
      mean[k] += (level > mean[k] ? RISE : SINK) * (level - mean[k]);
      peak[k] = Math.max(peak[k] * FALL, level);
      if (level) share[k] += 0.3 * (taken[k] / power[k] - share[k]);
      if (mean[k] > highest) highest = mean[k];
    }
    // the range that is drawn follows the loudest cell, quickly up and slowly down
    this.top += (highest > this.top ? 0.2 : 0.01) * (Math.max(highest, 0.35) - this.top);
  }

  #sum({ power, taken }) {
    const { columns, line, lineShare, profile } = this;
    line.fill(0);
    lineShare.fill(0);
    for (let k = 0; k < power.length; k++) {
      line[k % columns] += power[k];
      lineShare[k % columns] += taken[k];
    }
    for (let column = 0; column < columns; column++) {
      lineShare[column] /= line[column] || 1;
      profile[column] += SLOW * (line[column] ** 0.6 - profile[column]);
    }
    if (this.n_pictures % 15 === 0) this.peaks = maxima(profile);
  }
}

// The azimuths in degrees at which a profile stands out.
function maxima(profile) {
  const highest = Math.max(...profile);
  const found = [];
  for (let k = 0; k < profile.length; k++) {
    const here = profile[k];
    if (here < LEAST * highest || here <= 0) continue;
    if (here < (profile[k - 1] ?? 0) || here <= (profile[k + 1] ?? 0)) continue;
    if (lowest(profile, k, -1) < (1 - DIP) * here && lowest(profile, k, 1) < (1 - DIP) * here) {
      found.push(k * 90 / (profile.length - 1) - 45);
    }
  }
  return found;
}

// The lowest point on the way to a higher one; at the edge there is nothing.
function lowest(profile, from, step) {
  let least = profile[from];
  for (let k = from + step; k >= 0 && k < profile.length; k += step) {
    if (profile[k] > profile[from]) return least;
    least = Math.min(least, profile[k]);
  }
  return 0;
}
