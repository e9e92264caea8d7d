// Timestamps as Kubernetes writes them (RFC 3339, `2024-05-06T07:08:09Z`, fractions and offsets
// allowed), read without the platform's Date: its parser takes far more than RFC 3339, and depends
// on the time zone for some of it.

const date = '(\\d{4})-(\\d{2})-(\\d{2})';
const time = '(\\d{2}):(\\d{2}):(\\d{2})(?:\\.(\\d{1,9}))?';
const form = new RegExp(`^${date}[Tt]${time}(?:[Zz]|([+-])(\\d{2}):(\\d{2}))$`);

/** Milliseconds since the Unix epoch, or `undefined` when the text is no timestamp. */
export function parseTimestamp(text: string): number | undefined {
  const found = form.exec(text);
  if (found === null) return undefined;
  const [year = 0, month = 0, day = 0] = found.slice(1, 4).map(Number);
  const [hour = 0, minute = 0, second = 0] = found.slice(4, 7).map(Number);
  const [fraction = '', sign, offsetHours = '0', offsetMinutes = '0'] = found.slice(7);
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  // A leap second is written as :60.
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -1 : 1);
  const minutes = (daysSinceEpoch(year, month, day) * 24 + hour) * 60 + minute - offset;
  return (minutes * 60 + second) * 1000 + Math.floor(Number(`0.${fraction}`) * 1000);
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Proleptic Gregorian calendar, counted in eras of 400 years that start in March. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const marchYear = month > 2 ? year : year - 1;
  const era = Math.floor(marchYear / 400);
  const yearOfEra = marchYear - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leapDays = Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100);
  return era * 146_097 + yearOfEra * 365 + leapDays + dayOfYear - 719_468;
}
