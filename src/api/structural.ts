// Structural schemas (those of CRDs, and of the values of an installation) as one tool: how they
// are read, and what is done with them. The work is in the files named here.
import { defaultStructural, pruneStructural } from './schema-prune.ts';
import { validateStructural } from './schema-validate.ts';
import { readSchema } from './schema.ts';

export const structuralSchemas = {
  read: readSchema,
  validate: validateStructural,
  /** Drops what the schema does not name. */
  prune: pruneStructural,
  /** Fills in defaults. */
  fill: defaultStructural,
} as const;
