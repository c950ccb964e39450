import { NETWORK_FAULT_KINDS, ERROR_KINDS } from '../faults/faults.js';
import { SUSPENSION_REASONS } from '../faults/suspension.js';
import { MISSING_REFERENCES } from '../portal/portal.js';

const REASONS = SUSPENSION_REASONS.join(' | ');
const REFUSALS = ERROR_KINDS.join(' ');
const MISSING = MISSING_REFERENCES.join(' | ');
const NETWORK_FAULTS = NETWORK_FAULT_KINDS.join(' ');

/** The text for `curl`; a browser gets the page. @param installAt as the simulator reaches it */
export function controlGuide(baseUrl: string, installAt: string): string {
  return `Portal simulator: a Bitrix24 for tests, benchmarks and newcomers. All its state is lost when it stops.

Portal demo      ${baseUrl}/portals/demo/rest/
Its webhook      ${baseUrl}/portals/demo/rest/1/demo/
OAuth server     ${baseUrl}/oauth/token/
In a browser     ${baseUrl}/
Its application  ${baseUrl}/portals/demo/app/?user=1&language=en

Try
  curl '${baseUrl}/portals/demo/rest/1/demo/crm.item.list?entityTypeId=3&select[]=id&select[]=name&select[]=lastName'

Install the application, then change a contact as a user would
  curl -X POST ${baseUrl}/_sim/portals/demo/install -d '{"url": "${installAt}"}'
  curl -X POST ${baseUrl}/_sim/portals/demo/items/3 -d '{"id": 1, "fields": {"name": "jOHN"}}'
  curl ${baseUrl}/_sim/portals/demo/items/3/1
  curl ${baseUrl}/_sim/portals/demo/stats

Control (JSON)
  GET, POST           /_sim/portals                                {name, rate, burst, types: [{entityTypeId, title, code, fields}], …}
  GET, PATCH, DELETE  /_sim/portals/<name>                         {rate, burst, latencyMs, scope: [crm, task, …], …}
  POST                /_sim/portals/<name>/install                 {url, appUrl, kind: event | callback | page, userId, open, finish}
  POST                /_sim/portals/<name>/install-finish          what BX24.installFinish() does
  POST                /_sim/portals/<name>/open                    {url, userId, placement, options}
  POST                /_sim/portals/<name>/frame                   {userId, language, placement, options}: what is posted into an application frame
  POST                /_sim/portals/<name>/frame-command           {command: refreshAuth | setInstallFinish | setInstall | setAppOption | setUserOption, userId, …}
  POST                /_sim/portals/<name>/app-update
  POST                /_sim/portals/<name>/uninstall               {url, clean: 0 | 1}
  POST                /_sim/portals/<name>/user-ready              {url}: ONAPPUSERREADY, with tokens of the application's system user
  POST                /_sim/portals/<name>/expire-tokens           {refresh: true | false}
  POST                /_sim/portals/<name>/rename                  {to}
  POST                /_sim/portals/<name>/suspend                 {reason: ${REASONS} | null}
  POST                /_sim/portals/<name>/outgoing-webhooks       {event, url}
  POST                /_sim/portals/<name>/events                  {event, data, by: user | robot}: any event, to the handlers bound to it
  POST, DELETE        /_sim/portals/<name>/handlers                {event, url}: a handler of the application, offline without url; DELETE removes all
  GET                 /_sim/portals/<name>/offline                 offline handlers, and the records of their queue
  GET                 /_sim/portals/<name>/writes                  calls of crm.* that changed something, the newest 10,000
  GET                 /_sim/portals/<name>/notifications           what im.notify was called with
  GET                 /_sim/portals/<name>/tasks                   what tasks.task.add was called with
  POST, DELETE        /_sim/portals/<name>/faults                  {match, kind, code, times, where, ms, status, worked}
  POST                /_sim/portals/<name>/mass-update             {entityTypeId, count, fields}
  GET, POST           /_sim/portals/<name>/items/<entityTypeId>    {id, fields, count, by: user | robot, silent, raw}
  GET, PUT, DELETE    /_sim/portals/<name>/items/<entityTypeId>/<id>                    {fields}: set as they are given, without an event
  GET                 /_sim/portals/<name>/items/<entityTypeId>/all?fields=id,title     all items, one JSON line each
  POST                /_sim/portals/<name>/items/<entityTypeId>/make                    {count, seed, tell}
  POST                /_sim/portals/<name>/random-changes          {entityTypeId, count, seed, adds, deletes, dropEvents}
  GET, POST           /_sim/portals/<name>/types                   {entityTypeId, title, code, fields, isStagesEnabled: Y | N, …}
  PATCH, DELETE       /_sim/portals/<name>/types/<entityTypeId>    {title, …}; deletes its items, too, without events
  GET, POST           /_sim/portals/<name>/types/<entityTypeId>/fields                  "every" | [{type, isMultiple, label, items: [{value}], …}]
  PATCH, DELETE       /_sim/portals/<name>/types/<entityTypeId>/fields/<id or name>     {label, items: [{id, value}], …}
  POST                /_sim/portals/<name>/backup                  {as}
  POST                /_sim/portals/<name>/restore                 {to}; restores timestamps, ids are given again
  POST                /_sim/portals/<name>/rights                  {userId, entityTypeId, hidden: [ids] | all, administrator}
  GET, DELETE         /_sim/portals/<name>/stats
  GET                 /_sim/portals/<name>/changes                 the portal as a stream of events, for the page

Faults strike \`times\` calls of the method \`match\` (crm.item.*, oauth.token) with the parameters \`where\`, alone or in a batch.
  Rejections            ${REFUSALS}
  Network faults      ${NETWORK_FAULTS}
                      after \`ms\`; html, empty, garbled, odd and refusals with \`status\`; with \`worked\` the method runs first
  Any other rejection   kind \`error\` with its \`code\`, such as ACCESS_DENIED
entityTypeId: 1 leads, 2 deals, 3 contacts, 4 companies, 7 estimates, 31 invoices, from 128 smart processes.
Generated items have values in every field, the same for the same seed; they emit events only with \`tell\`.
adds, deletes and dropEvents are probabilities from 0 to 1. \`raw\` values are stored without checks.
Results of feature.get: PATCH {features: {rest_offline_extended: Y | N | <language>_selfhosted}}
The application's own changes in its offline queue are disputed: PATCH {offlineOwnWrites: true | false}
The value of a batch reference whose path does not exist is not documented: PATCH {missingReference: ${MISSING}}
Each IP address of a caller has its own bucket: 127.0.0.2 is another caller than 127.0.0.1.
`;
}
