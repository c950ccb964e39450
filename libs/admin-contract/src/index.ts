export {
  moveResponse,
  repair,
  topologyResponse,
  unroutedReplayRequest,
  unroutedReplayResponse,
  unroutedResponse,
} from './bus.js';
export type { MoveResponse, TopologyPart } from './bus.js';
export { consumerPath, consumersResponse, retireRequest, retireResponse } from './consumers.js';
export type { ListedConsumer, RetireResponse } from './consumers.js';
export {
  deadLetterDropRequest,
  deadLetterDropResponse,
  deadLetterPath,
  deadLetterReplayRequest,
  deadLetterReplayResponse,
  deadLetterResponse,
  deadLettersQuery,
  deadLettersResponse,
} from './dead-letters.js';
export type { DeadLetterPage } from './dead-letters.js';
export { journalsResponse, journalStatus } from './journal.js';
export type { JournalStatus, ReportedJournal } from './journal.js';
export { errorResponse } from './json.js';
export type { Sent } from './json.js';
export { keyRotationResponse } from './keys.js';
export {
  limitRequest,
  limitResponse,
  portalPath,
  portalsResponse,
  resumeResponse,
  settingsPath,
  settingsRequest,
  testResponse,
  webhookPairRequest,
  webhookPairResponse,
} from './portals.js';
export type { GivenLimit, ListedPortal, PortalsResponse, WebhookPairRequest } from './portals.js';
export { portalSyncResponse, syncJobPath, syncJobResponse, syncResponse } from './sync.js';
export type { ListedSyncJob, SyncJob, SyncJobKind, SyncResponse } from './sync.js';
export {
  age,
  consumerNote,
  duration,
  grouped,
  jobName,
  jobText,
  jobTrouble,
  journalsLines,
  plural,
  portalNote,
  progressOf,
  typeText,
  waitingReason,
} from './texts.mjs';
export { TEXTS_FILE } from './texts-file.js';
