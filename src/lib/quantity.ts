// Kubernetes quantities (`"500m"`, `"1e3"`, `"10Mi"`), read exactly: as whole nano-units in a
// bigint, the finest that Kubernetes itself keeps (apimachinery `resource.Quantity`; finer
// digits round up, away from zero). No floating point, because weights are ratios and 0.1 is not
// a tenth.

/** A number with nine exact decimal places. */
export type Quantity = { readonly nano: bigint };

const one = 1_000_000_000n;
/** Longer texts and larger exponents are nobody's honest number; Kubernetes caps at 2^63. */
const textMax = 64;
const exponentMax = 27;

const decimalExponents: ReadonlyMap<string, number> = new Map([
  ['n', -9], ['u', -6], ['m', -3], ['', 0], ['k', 3], ['M', 6],
  ['G', 9], ['T', 12], ['P', 15], ['E', 18],
]);
const binaryExponents: ReadonlyMap<string, number> = new Map([
  ['Ki', 10], ['Mi', 20], ['Gi', 30], ['Ti', 40], ['Pi', 50], ['Ei', 60],
]);

const grammar =
  /^([+-]?)([0-9]*)(?:\.([0-9]*))?((?:[KMGTPE]i)|[numkMGTPE]?|[eE][+-]?[0-9]{1,3})$/;

/** The quantity, or `undefined` when the text is none. */
export function parseQuantity(text: string): Quantity | undefined {
  if (text.length > textMax) return undefined;
  const found = grammar.exec(text);
  if (found === null) return undefined;
  const [, sign = '', whole = '', fraction = '', suffix = ''] = found;
  const digits = whole + fraction;
  if (digits === '') return undefined;
  const scaled = scale(BigInt(digits), fraction.length, suffix);
  if (scaled === undefined) return undefined;
  return { nano: sign === '-' ? -scaled : scaled };
}

/** `digits × 10^-places × suffix`, in nano-units. */
function scale(digits: bigint, places: number, suffix: string): bigint | undefined {
  const binary = binaryExponents.get(suffix);
  if (binary !== undefined) return shiftDecimal(digits << BigInt(binary), 9 - places);
  const exponent = decimalExponents.get(suffix) ?? Number(suffix.slice(1));
  if (Math.abs(exponent) > exponentMax) return undefined;
  return shiftDecimal(digits, 9 - places + exponent);
}

function shiftDecimal(value: bigint, exponent: number): bigint {
  if (exponent >= 0) return value * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  return (value + divisor - 1n) / divisor;
}

/** The quantity as a whole number; `undefined` for fractions and what a double cannot hold. */
function wholeNumber(quantity: Quantity): number | undefined {
  if (quantity.nano % one !== 0n) return undefined;
  const value = Number(quantity.nano / one);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A size in bytes (`10Mi`, `512k`, `4096`): whole and not negative. */
export function parseSize(text: string): number | undefined {
  const quantity = parseQuantity(text);
  if (quantity === undefined || quantity.nano < 0n) return undefined;
  return wholeNumber(quantity);
}

/**
 * Whole numbers in the ratio of the quantities: the integers themselves where all are
 * integral, else all in the largest of milli, micro and nano in which all are.
 */
export function integerRatio(quantities: readonly Quantity[]): readonly bigint[] {
  const unit = [one, 1_000_000n, 1_000n].find((candidate) =>
    quantities.every((quantity) => quantity.nano % candidate === 0n),
  );
  return quantities.map((quantity) => quantity.nano / (unit ?? 1n));
}
