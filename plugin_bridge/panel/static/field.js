// Draws the field, azimuth by frequency, and below it azimuth by time.

const RANGE = 0.4; // of the level's range that is drawn below the loudest cell
const REST = 0.62; // how bright is what is not taken
const TRACE_ROWS = 240;
const FINE = 3; // of a column, in the trace

export class Field {
  constructor(picture, field, trace) {
    this.picture = picture;
    this.field = field;
    this.trace = trace;
    this.cells = document.createElement("canvas");
    this.row = document.createElement("canvas"); // the newest of the lines
    this.lines = document.createElement("canvas");
    this.rest = this.taken = [0, 0, 0];
  }

  // Draw in these colours from now on; the trace, which has those of before, begins anew.
  colours(rest, taken) {
    const key = `${rest} ${taken}`;
    if (key === this.key) return;
    this.key = key;
    this.rest = rgb(rest);
    this.taken = rgb(taken);
    this.clear();
  }

  clear() {
    this.lines.width = this.lines.width; // forget what was drawn
    this.draw();
  }

  draw() {
    const { columns, rows, mean, peak, share, top } = this.picture;
    if (!columns) return;
    const image = this.#image(this.cells, columns, rows);
    const { data } = image;
    for (let row = 0, k = 0; row < rows; row++) {
      let at = 4 * (rows - 1 - row) * columns; // low frequencies at the bottom
      for (let column = 0; column < columns; column++, k++, at += 4) {
        const now = bright(mean[k], top);
        const level = Math.max(now, 0.4 * bright(peak[k], top + 0.08));
        this.#paint(data, at, level, share[k]);
      }
    }
    this.cells.getContext("2d").putImageData(image, 0, 0);
    this.#scale(this.field, this.cells);
    this.#scale(this.trace, this.lines);
  }

  // Add the newest moment on top of the trace; `azimuth_deg` is where the handle is.
  addMoment(azimuth_deg) {
    const { columns, line, lineShare } = this.picture;
    if (!columns) return;
    const { lines } = this;
    if (lines.width !== FINE * columns || lines.height !== TRACE_ROWS) {
      Object.assign(lines, { width: FINE * columns, height: TRACE_ROWS });
    }
    const context = lines.getContext("2d");
    context.globalCompositeOperation = "copy";
    context.drawImage(lines, 0, 1);
    context.globalCompositeOperation = "source-over";
    const image = this.#image(this.row, columns, 1);
    let highest = 1e-9;
    for (const power of line) highest = Math.max(highest, power);
    this.loudest = Math.max(highest, (this.loudest ?? 0) * 0.98);
    for (let column = 0; column < columns; column++) {
      const level = (line[column] / this.loudest) ** 0.35;
      this.#paint(image.data, 4 * column, level < 0.15 ? 0 : level, lineShare[column]);
    }
    this.row.getContext("2d").putImageData(image, 0, 0);
    context.clearRect(0, 0, lines.width, 1);
    context.drawImage(this.row, 0, 0, lines.width, 1);
    context.fillStyle = `rgb(${this.taken})`;
    context.fillRect(((azimuth_deg + 45) / 90 * (columns - 1) + 0.5) * FINE - 0.5, 0, 1, 1);
  }

  #paint(data, at, level, share) {
    const { rest, taken } = this;
    for (let c = 0; c < 3; c++) data[at + c] = rest[c] + share * (taken[c] - rest[c]);
    data[at + 3] = 255 * Math.min(1, level * (REST + (1 - REST) * share));
  }

  #image(canvas, width, height) {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    return canvas.getContext("2d").createImageData(width, height);
  }

  #scale(canvas, source) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    if (!width || !height || !source.width) return;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    // the centres of the outermost columns lie on the edges: hard left and hard right
    const half = width / (this.picture.columns - 1) / 2;
    context.drawImage(source, -half, 0, width + 2 * half, height);
  }
}

function bright(level, top) {
  const share = 1 + (level - top) / RANGE;
  return share <= 0 ? 0 : Math.min(share, 1.15) ** 1.25;
}

function rgb(colour) {
  const value = parseInt(colour.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
