// The version of this build, from package.json (bundled as data).
// One word for the CLI, `/version` and `weft_build_info`.
import facts from '../../package.json' with { type: 'json' };

export const buildVersion: string = facts.version;
