export { carriesMoreThanKey, keyOnlyData, namesEntity } from './entity.js';
export {
  type BaseEventName,
  type BoundEventName,
  DATA_ROWS,
  type EventData,
  type EventName,
  findDataMismatch,
} from './event-data.js';
export { EventError } from './event-error.js';
export { formatEventName, parseEventName } from './event-name.js';
export { type EventEnvelope, openEvent, parseEnvelope, type PortalEvent } from './event.js';
export type { FormTree } from './form-tree.js';
export { decodeForm, FormError } from './form.js';
export {
  type InstallClaim,
  installOf,
  isPage,
  isUserReady,
  type PageFrame,
  parseFrame,
  parseInstall,
  parsePage,
} from './install.js';
export { openOfflineEvent } from './offline-event.js';
export { decodeMessage, encodeMessage, FORM_TREE, isOfNewerVersion, MESSAGE_FORMAT } from './message.js';
