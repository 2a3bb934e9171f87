// Numbers and times as people read them; all times are UTC, like the windows of the bars.

const whole = new Intl.NumberFormat('en-US');

/** 1234567 -> "1,234,567"; null -> "–". */
export const count = (value) => (value == null ? '–' : whole.format(value));

/** 1234567 -> "1.23 M": for volumes, where digits do not matter. */
export function short(value) {
  if (value == null) return '–';
  for (const [unit, size] of [['B', 1e9], ['M', 1e6], ['k', 1e3]]) {
    if (Math.abs(value) >= size) return `${(value / size).toFixed(value / size >= 100 ? 0 : 2)} ${unit}`;
  }
  return Number(value.toPrecision(4)).toString();
}

/** A price with the decimals of its market. */
export const price = (value, decimals) =>
  value == null ? '–' : value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

/** How many decimals these prices need: at least 2, at most 8. */
export function decimalsOf(values) {
  let decimals = 2;
  for (const value of values) {
    if (value == null) continue;
    const text = value.toString();
    const at = text.indexOf('.');
    if (at >= 0 && !text.includes('e')) decimals = Math.max(decimals, text.length - at - 1);
  }
  return Math.min(decimals, 8);
}

/** 09:30:00, or 09:30:00.123 with milliseconds. */
export const time = (ms, withMilliseconds = false) =>
  new Date(ms).toISOString().slice(11, withMilliseconds ? 23 : 19);

/** 5 Jan 09:30. */
export const dayAndTime = (ms) =>
  new Date(ms).toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', timeZone: 'UTC' }).replace(',', '');

/** 3.2 s, 5 min, 2.1 h, 12 d. */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** "BINANCE:BTCUSDT" -> ["BTCUSDT", "BINANCE"]; "AAPL" -> ["AAPL", ""]. */
export function symbolParts(symbol) {
  const at = symbol.indexOf(':');
  return at < 0 ? [symbol, ''] : [symbol.slice(at + 1), symbol.slice(0, at)];
}
