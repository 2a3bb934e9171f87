// The page's colours for what is drawn on a canvas, read from the style sheet once a theme: asking
// for a computed style in every frame would cost a layout each.

const NAMES = ['page', 'card', 'raised', 'line', 'text', 'muted', 'accent', 'up', 'down', 'warn', 'grid', 'sma20', 'sma50', 'ema20', 'vwap', 'bollinger', 'rsi14', 'macd', 'macd-signal'];

/** By name, as in `--up`. */
export const palette = {};

/** Reads them again, after a change of theme. */
export function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const name of NAMES) palette[name] = style.getPropertyValue(`--${name}`).trim();
}
