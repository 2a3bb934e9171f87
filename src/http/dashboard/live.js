// The live stream of one symbol and interval, with the quotes of all and the state of the pipeline.
// The browser connects again by itself when the server was away; where it gives up, this does.

const RECONNECT_MS = 1500;
const NAMES = ['bars', 'trades', 'quotes', 'state', 'missed'];

export class LiveStream {
  #source = null;
  #hears;

  /** `hears` has a function for each kind of event, `open()`, and `away()`. */
  constructor(hears) {
    this.#hears = hears;
  }

  follow(symbol, interval) {
    this.#source?.close();
    const opened = new EventSource(`/api/v1/stream?${new URLSearchParams({ symbol, interval })}`);
    this.#source = opened;
    const on = (name, take) => opened.addEventListener(name, (event) => {
      if (opened === this.#source) take(event);
    });
    on('open', () => this.#hears.open());
    for (const name of NAMES) on(name, (event) => this.#hears[name](JSON.parse(event.data)));
    on('error', () => {
      this.#hears.away();
      if (opened.readyState === EventSource.CLOSED) {
        setTimeout(() => opened === this.#source && this.follow(symbol, interval), RECONNECT_MS);
      }
    });
  }
}
