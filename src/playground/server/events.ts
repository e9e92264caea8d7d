// Events have two spellings of the same fields: core/v1 and events.k8s.io/v1. They are stored in
// the first; whoever writes or reads in the second gets it converted.
import { objectAt, textAt, type JsonObject } from './json.ts';

const renamed: readonly (readonly [core: string, other: string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
];

/** From either spelling to the stored one. */
export function eventAsCore(event: JsonObject): JsonObject {
  const core: JsonObject = { ...event, apiVersion: 'v1', kind: 'Event' };
  for (const [stored, spelled] of renamed) {
    const value = event[spelled];
    if (value !== undefined) core[stored] = value;
    delete core[spelled];
  }
  return core;
}

/** From the stored spelling to events.k8s.io/v1. */
export function eventAsNew(event: JsonObject): JsonObject {
  const converted: JsonObject = { ...event, apiVersion: 'events.k8s.io/v1', kind: 'Event' };
  for (const [stored, spelled] of renamed) {
    const value = event[stored];
    if (value !== undefined) converted[spelled] = value;
    delete converted[stored];
  }
  return converted;
}

/** `Kind/name` of what an event is about. */
export function eventSubject(event: JsonObject): string {
  const about = objectAt(event, 'involvedObject');
  return `${(textAt(about, 'kind') ?? '').toLowerCase()}/${textAt(about, 'name') ?? ''}`;
}
