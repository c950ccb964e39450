export { EventError } from './event-error.js';
export { formatEventName, parseEventName } from './event-name.js';
export { type EventEnvelope, openEvent, parseEnvelope, type PortalEvent } from './event.js';
export type { FormTree } from './form-tree.js';
export { decodeForm, FormError } from './form.js';
export { type InstallClaim, installOf, isPage, isUserReady, parseInstall, parsePage } from './install.js';
export { decodeMessage, encodeMessage, isOfNewerVersion, MessageError } from './message.js';
