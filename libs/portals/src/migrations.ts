import { CreatePortals1764000000000 } from './migrations/1764000000000-create-portals.js';
import { AddPortalSettings1764200000000 } from './migrations/1764200000000-add-portal-settings.js';
import { CreateWebhookPairs1764300000000 } from './migrations/1764300000000-create-webhook-pairs.js';
import { KeepHandlersOfBindings1764400000000 } from './migrations/1764400000000-keep-handlers-of-bindings.js';
import { CreateRateBuckets1764500000000 } from './migrations/1764500000000-create-rate-buckets.js';
import { ShareLimits1764600000000 } from './migrations/1764600000000-share-limits.js';
import { SuspendPortals1764700000000 } from './migrations/1764700000000-suspend-portals.js';
import { NoteRelocations1764700000100 } from './migrations/1764700000100-note-relocations.js';
import { OrderEndedTasks1765200000000 } from './migrations/1765200000000-order-ended-tasks.js';
import { ChooseSubscriptions1764960000010 } from './migrations/1764960000010-choose-subscriptions.js';
import { DrainSubscriptions1766100000500 } from './migrations/1766100000500-drain-subscriptions.js';
import { BindWebhookPairs1766100000300 } from './migrations/1766100000300-bind-webhook-pairs.js';
import { BoundExchanges1766100000310 } from './migrations/1766100000310-bound-exchanges.js';
import { AskForWebhooks1766100000320 } from './migrations/1766100000320-ask-for-webhooks.js';
import { CreateTasks1764960000000 } from './migrations/1764960000000-create-tasks.js';
import { WakePortals1766100000900 } from './migrations/1766100000900-wake-portals.js';
import { CountLostLeases1766100000800 } from './migrations/1766100000800-count-lost-leases.js';
import { DeclareSettings1766100000810 } from './migrations/1766100000810-declare-settings.js';
import { KeepOAuthServers1766100000200 } from './migrations/1766100000200-keep-oauth-servers.js';
import { JudgeTokens1766100000400 } from './migrations/1766100000400-judge-tokens.js';
import { CreateBindingAttempts1766100000700 } from './migrations/1766100000700-create-binding-attempts.js';

/** Kept outside the folder: `npm run migrate` takes every export of a file in there for a migration. */
export const PORTAL_MIGRATIONS = [
  CreatePortals1764000000000,
  AddPortalSettings1764200000000,
  CreateWebhookPairs1764300000000,
  KeepHandlersOfBindings1764400000000,
  CreateRateBuckets1764500000000,
  ShareLimits1764600000000,
  SuspendPortals1764700000000,
  NoteRelocations1764700000100,
  CreateTasks1764960000000,
  ChooseSubscriptions1764960000010,
  DrainSubscriptions1766100000500,
  OrderEndedTasks1765200000000,
  KeepOAuthServers1766100000200,
  BindWebhookPairs1766100000300,
  BoundExchanges1766100000310,
  AskForWebhooks1766100000320,
  JudgeTokens1766100000400,
  CreateBindingAttempts1766100000700,
  CountLostLeases1766100000800,
  DeclareSettings1766100000810,
  WakePortals1766100000900,
];
