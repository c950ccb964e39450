export { BIND_JOB, EventBindingRequests, CONTROL_PLANE } from './event-binding-requests.js';
export { InstallApplier } from './install-applier.js';
export { InstallIncompleteError, InstallRejectedError, isAuthorized, knowsToken } from './install-policy.js';
export { InstallsModule } from './installs.module.js';
export { InstallStore } from './install-store.js';
export { InstallVerifier } from './install-verifier.js';
export type { OfferedPair } from './install-verifier.js';
export { Installer } from './installer.js';
