import { networkFaultKinds, REFUSAL_KINDS } from '../faults/faults.js';
import { SUSPENSION_REASONS } from '../faults/suspension.js';
import { MISSING_REFERENCES } from '../portal/portal.js';

const reasons = SUSPENSION_REASONS.join(' | ');
const refusals = REFUSAL_KINDS.join(' ');
const missing = MISSING_REFERENCES.join(' | ');
const networkFaults = networkFaultKinds.join(' ');

/** What a person who asks the simulator from a terminal reads; a browser gets the page. */
export function controlGuide(baseUrl: string): string {
  return `Portal simulator: a Bitrix24 for tests, benchmarks and newcomers. Nothing is kept when it stops.

Portal demo      ${baseUrl}/portals/demo/rest/
Its webhook      ${baseUrl}/portals/demo/rest/1/demo/
OAuth server     ${baseUrl}/oauth/token/
In a browser     ${baseUrl}/

Try
  curl '${baseUrl}/portals/demo/rest/1/demo/crm.item.list?entityTypeId=3&select[]=id&select[]=name&select[]=lastName'

Install the application, then change a contact as a user would
  curl -X POST ${baseUrl}/_sim/portals/demo/install -d '{"url": "http://127.0.0.1:3000/b24/install"}'
  curl -X POST ${baseUrl}/_sim/portals/demo/items/3 -d '{"id": 1, "fields": {"name": "jOHN"}}'
  curl ${baseUrl}/_sim/portals/demo/items/3/1
  curl ${baseUrl}/_sim/portals/demo/stats

Control (JSON)
  GET, POST           /_sim/portals                                {name, rate, burst, types: [{entityTypeId, title, code, fields}], …}
  GET, PATCH, DELETE  /_sim/portals/<name>                         {rate, burst, latencyMs, scope: [crm, task, …], …}
  POST                /_sim/portals/<name>/install                 {url, kind: event | callback | page, userId, finish}
  POST                /_sim/portals/<name>/install-finish          what BX24.installFinish() does
  POST                /_sim/portals/<name>/open                    {url, userId, placement, options}
  POST                /_sim/portals/<name>/app-update
  POST                /_sim/portals/<name>/uninstall               {url, clean: 0 | 1}
  POST                /_sim/portals/<name>/user-ready              {url}: ONAPPUSERREADY, with the tokens of the application's own user
  POST                /_sim/portals/<name>/expire-tokens           {refresh: true | false}
  POST                /_sim/portals/<name>/rename                  {to}
  POST                /_sim/portals/<name>/suspend                 {reason: ${reasons} | null}
  POST                /_sim/portals/<name>/outgoing-webhooks       {event, url}
  POST                /_sim/portals/<name>/events                  {event, data, by: user | robot}: any event, to whoever bound it
  POST, DELETE        /_sim/portals/<name>/faults                  {match, kind, times, where, ms, status, worked}
  POST                /_sim/portals/<name>/mass-update             {entityTypeId, count, fields}
  GET, POST           /_sim/portals/<name>/items/<entityTypeId>    {id, fields, count, by: user | robot, silent, raw}
  GET, DELETE         /_sim/portals/<name>/items/<entityTypeId>/<id>
  GET                 /_sim/portals/<name>/items/<entityTypeId>/all?fields=id,title     all of them, a line of JSON each
  POST                /_sim/portals/<name>/items/<entityTypeId>/make                    {count, seed, tell}
  POST                /_sim/portals/<name>/random-changes          {entityTypeId, count, seed, adds, deletes, dropEvents}
  GET, POST           /_sim/portals/<name>/types                   {entityTypeId, title, code, fields, isStagesEnabled: Y | N, …}
  PATCH, DELETE       /_sim/portals/<name>/types/<entityTypeId>    {title, …}; deleted with its items, in silence
  GET, POST           /_sim/portals/<name>/types/<entityTypeId>/fields                  "every" | [{type, isMultiple, label, items: [{value}], …}]
  PATCH, DELETE       /_sim/portals/<name>/types/<entityTypeId>/fields/<id or name>     {label, items: [{id, value}], …}
  POST                /_sim/portals/<name>/backup                  {as}
  POST                /_sim/portals/<name>/restore                 {to}; times go back, ids are given again
  POST                /_sim/portals/<name>/rights                  {userId, entityTypeId, hidden: [ids] | all, administrator}
  GET, DELETE         /_sim/portals/<name>/stats
  GET                 /_sim/portals/<name>/changes                 the portal as a stream of events, for the page

Faults strike calls of the method \`match\` (crm.item.*, oauth.token), alone or in a batch, \`times\` times, with the parameters \`where\`.
  Refusals            ${refusals}
  Of the wire         ${networkFaults}
                      after \`ms\`; html, empty, garbled, odd and refusals with \`status\`; \`worked\`: the method has run
Made items have values for every field, the same for the same seed; nobody hears of them unless you \`tell\`.
Chances (adds, deletes, dropEvents) go from 0 to 1. \`raw\` values are kept as they are, whether they fit their fields or not.
What feature.get says: PATCH {features: {rest_offline_extended: Y | N | <language>_selfhosted}}
Of a reference in a batch that leads nowhere nobody knows what it is worth: PATCH {missingReference: ${missing}}
Each address of a caller has a bucket of its own: 127.0.0.2 is another caller than 127.0.0.1.
`;
}
