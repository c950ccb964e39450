export {
  moveResponse,
  repair,
  retriesQuery,
  retriesResponse,
  topologyResponse,
  unroutedReplayRequest,
  unroutedReplayResponse,
  unroutedResponse,
} from './bus.js';
export type {
  MoveResponse,
  RetriesResponse,
  TopologyPart,
  TopologyResponse,
  UnroutedResponse,
} from './bus.js';
export {
  consumerPath,
  consumersResponse,
  registerRequest,
  registerResponse,
  retireRequest,
  retireResponse,
} from './consumers.js';
export type { ConsumersResponse, ListedConsumer, RetireResponse } from './consumers.js';
export {
  deadLetterDropRequest,
  deadLetterDropResponse,
  deadLetterGroupsQuery,
  deadLetterGroupsResponse,
  deadLetterPath,
  deadLetterReplayRequest,
  deadLetterReplayResponse,
  deadLetterResponse,
  deadLettersQuery,
  deadLettersResponse,
} from './dead-letters.js';
export type {
  DeadLetterDetail,
  DeadLetterDropResponse,
  DeadLetterGroup,
  DeadLetterGroupsResponse,
  DeadLetterPage,
  DeadLetterReplayResponse,
  DeadLettersResponse,
  ListedDeadLetter,
} from './dead-letters.js';
export { eventPath, eventsQuery, eventsResponse, resendResponse } from './events.js';
export type { EventsResponse, ListedEvent } from './events.js';
export { journalsResponse, journalStatus } from './journal.js';
export type { JournalsResponse, JournalStatus, ReportedJournal } from './journal.js';
export { errorResponse } from './json.js';
export type { Sent } from './json.js';
export {
  MAX_PREVIEW_LENGTH,
  pagePreviewRequest,
  pagePreviewResponse,
  pageSettingsRequest,
  pageSettingsResponse,
  pageStatusResponse,
} from './portal-page.js';
export type {
  InstallStep,
  NextAction,
  PageNameSettings,
  PagePreviewResponse,
  PageSettingsRequest,
  PageSettingsResponse,
  PageStatusResponse,
} from './portal-page.js';
export {
  keyRotationResponse,
  limitRequest,
  limitResponse,
  modeRequest,
  modeResponse,
  portalPath,
  portalResponse,
  portalSearchQuery,
  portalSearchResponse,
  portalsResponse,
  removeRequest,
  removeResponse,
  resumeResponse,
  settingsPath,
  settingsRequest,
  subscriptionsApplyResponse,
  subscriptionsDiffResponse,
  testResponse,
  userFieldsPath,
  userFieldsResponse,
  webhookPairRequest,
  webhookPairResponse,
} from './portals.js';
export type {
  DeliveryMode,
  GivenLimit,
  ListedPortal,
  ModeResponse,
  PortalFilter,
  PortalResponse,
  PortalSearchResponse,
  UserFieldsResponse,
  PortalsResponse,
  ResumeResponse,
  SubscriptionsApplied,
  SubscriptionsDiff,
  TestResponse,
  WebhookPairRequest,
} from './portals.js';
export { portalSyncResponse, syncJobPath, syncJobResponse, syncResponse } from './sync.js';
export type { PortalSyncResponse, SyncJob, SyncJobKind, SyncResponse } from './sync.js';
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
