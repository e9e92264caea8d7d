// Every group of conformance cases, in the order in which they run.
// The last group is the named list of deviations.
import { applyCases } from './apply.ts';
import { definitionCases } from './definitions.ts';
import { deviationCases } from './deviations.ts';
import { documentCases } from './documents.ts';
import { kindCases } from './kinds.ts';
import { listCases } from './lists.ts';
import { objectCases } from './objects.ts';
import { patchCases } from './patches.ts';
import { requestCases } from './requests.ts';
import type { CaseGroup } from './suite.ts';
import { tokenCases } from './tokens.ts';
import { watchCases } from './watches.ts';

export const allCases: readonly CaseGroup[] = [
  { subject: 'documents', cases: documentCases },
  { subject: 'objects', cases: objectCases },
  { subject: 'lists', cases: listCases },
  { subject: 'watches', cases: watchCases },
  { subject: 'patches', cases: patchCases },
  { subject: 'server-side apply', cases: applyCases },
  { subject: 'definitions and custom objects', cases: definitionCases },
  { subject: 'single kinds', cases: kindCases },
  { subject: 'certificate requests', cases: requestCases },
  { subject: 'tokens', cases: tokenCases },
  { subject: 'deviations of the embedded server', cases: deviationCases },
];
