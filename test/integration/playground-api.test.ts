// The conformance cases against the embedded API server alone, which needs nothing but Node. That
// the cases are true of a real kube-apiserver is shown by test/kube/api-conformance.test.ts.
import { allCases } from '../support/conformance/all-cases.ts';
import { embeddedTarget } from '../support/conformance/embedded.ts';
import { conformance } from '../support/conformance/suite.ts';

conformance('the embedded API server', allCases, embeddedTarget);
