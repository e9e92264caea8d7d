// Printer columns of custom kinds, from `additionalPrinterColumns`.
// Ages are worded as kubectl words them (apimachinery, duration.HumanDuration).
import { isObject, numberAt, textAt, type Json } from './json.ts';
import type { Column } from './kinds.ts';
import { pathReader } from './json-path.ts';

/** How long ago, in kubectl's words: `5s`, `3m20s`, `2d`. */
export function ageText(createdAt: string | undefined, nowMs: number): string {
  const createdMs = createdAt === undefined ? Number.NaN : Date.parse(createdAt);
  if (Number.isNaN(createdMs)) return '<unknown>';
  const seconds = Math.max(0, Math.floor((nowMs - createdMs) / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`;
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

function customColumn(given: Json): Column {
  const type = textAt(given, 'type') ?? 'string';
  const read = pathReader(textAt(given, 'jsonPath') ?? '');
  return {
    name: textAt(given, 'name') ?? '',
    type,
    description: textAt(given, 'description') ?? '',
    format: textAt(given, 'format') ?? '',
    priority: numberAt(given, 'priority') ?? 0,
    cell: (object, nowMs) => {
      const found = read(object);
      if (found.length === 0) return null;
      if (type === 'date') return ageText(String(found[0]), nowMs);
      // Of several values the API server prints the first.
      return scalarCell(found[0] ?? null);
    },
  };
}

/** Objects and lists as Go prints them: JSON with the keys in order. */
function scalarCell(value: Json): string | number | boolean | null {
  if (typeof value !== 'object' || value === null) return value;
  return JSON.stringify(value, (_key, field: Json) =>
    isObject(field) ? Object.fromEntries(Object.entries(field).sort(byKey)) : field,
  );
}

function byKey([left]: readonly [string, Json], [right]: readonly [string, Json]): number {
  return left < right ? -1 : 1;
}

/** The last column of almost every kind. */
export const ageColumn: Column = {
  name: 'Age',
  type: 'date',
  description:
    'CreationTimestamp is a timestamp representing the server time when this object was created.',
  format: '',
  priority: 0,
  cell: (object, nowMs) => ageText(textAt(object, 'metadata', 'creationTimestamp'), nowMs),
};

/** The first column of every kind that does not bring its own. */
export const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  description: 'Name must be unique within a namespace.',
  format: 'name',
  priority: 0,
  cell: (object) => textAt(object, 'metadata', 'name') ?? '',
};

/** Columns of a custom kind; the age where it declares none. */
export function customColumns(declared: readonly Json[]): readonly Column[] {
  return declared.length === 0 ? [ageColumn] : declared.map(customColumn);
}
