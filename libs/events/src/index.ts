export { EventError, type EventErrorCode, type EventField } from './event-error.js';
export { formatEventName, parseEventName } from './event-name.js';
export {
  type EventCredentials,
  type EventEnvelope,
  openEvent,
  parseEnvelope,
  parseEvent,
  type ParsedEvent,
  type PortalEvent,
} from './event.js';
export { FormError, type FormErrorCode } from './form-error.js';
export type { FormTree, FormValue } from './form-tree.js';
export { decodeForm, type FormLimits } from './form.js';
export { type InstallClaim, isUserReady, parseInstall } from './install.js';
export { isPage, parsePage } from './page.js';
export {
  decodeMessage,
  encodeMessage,
  isOfNewerVersion,
  MessageError,
  type MessageErrorCode,
} from './message.js';
