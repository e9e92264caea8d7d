// `node build/conformance.js`: writes smi/conformance.md anew. Drift is a failing test
// (test/golden/conformance.test.ts), not something that this script decides.
import { writeFileSync } from 'node:fs';
import { renderConformance } from '../test/support/conformance.ts';

writeFileSync('smi/conformance.md', renderConformance('.'));
console.log('wrote smi/conformance.md');
