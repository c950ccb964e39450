/** The official SDK, as its documentation shows it: https://bitrix24.github.io/b24jssdk/ */
import { B24OAuth, EnumAppStatus } from '@bitrix24/b24jssdk';
import { contactTypeId } from '../support/portal.mjs';

/** @typedef {import('./lower-bound.mjs').Limit} Limit */

/**
 * @param {import('../support/portal.mjs').Grant} grant
 * @param {{ id: string, secret: string }} application
 * @param {string} oauthUrl
 * @param {Limit} limit its own default is 2 and 50
 */
export function openSdk(grant, application, oauthUrl, { rate, burst }) {
  const defaults = { windowMs: 600_000, limitMs: 480_000, heavyPercent: 80 };
  return new B24OAuth(
    {
      applicationToken: grant.application_token,
      userId: 1,
      memberId: grant.member_id,
      accessToken: grant.access_token,
      refreshToken: grant.refresh_token,
      expires: Math.floor(Date.now() / 1000) + 3600,
      expiresIn: 3600,
      scope: 'crm',
      domain: grant.domain,
      clientEndpoint: grant.client_endpoint,
      serverEndpoint: `${oauthUrl}/rest/`,
      status: EnumAppStatus.Local,
    },
    { clientId: application.id, clientSecret: application.secret },
    {
      restrictionParams: {
        rateLimit: { burstLimit: burst, drainRate: rate, adaptiveEnabled: true },
        operatingLimit: defaults,
      },
    },
  );
}

/** @typedef {{ id: number, name: string, lastName: string }} Contact */

/**
 * Its batch helper for any number of commands: read each contact, write each contact. It takes as well lists of fifty
 * ids as commands, which its documentation does not show: `isPacked` tries that.
 * @param {B24OAuth} sdk
 * @param {readonly number[]} ids
 * @param {boolean} isPacked
 */
export async function correctByBatches(sdk, ids, isPacked) {
  const contacts = isPacked ? await listed(sdk, ids) : await got(sdk, ids);
  const updates = contacts.map(updateOf);
  checked(await sdk.actions.v2.batchByChunk.make({ calls: updates, options: { isHaltOnError: false } }));
}

/** @param {B24OAuth} sdk @param {readonly number[]} ids @returns {Promise<Contact[]>} */
async function got(sdk, ids) {
  const calls = ids.map((id) => ({ method: 'crm.item.get', params: { entityTypeId: contactTypeId, id } }));
  /** @type {import('@bitrix24/b24jssdk').Result<{ item: Contact }[]>} */
  const answer = await sdk.actions.v2.batchByChunk.make({ calls, options: { isHaltOnError: false } });
  return checked(answer).map(({ item }) => item);
}

/** @param {B24OAuth} sdk @param {readonly number[]} ids @returns {Promise<Contact[]>} */
async function listed(sdk, ids) {
  const calls = [];
  for (let start = 0; start < ids.length; start += 50) {
    const filter = { '@id': ids.slice(start, start + 50) };
    const select = ['id', 'name', 'lastName'];
    const params = { entityTypeId: contactTypeId, filter, select, start: -1 };
    calls.push({ method: 'crm.item.list', params });
  }
  /** @type {import('@bitrix24/b24jssdk').Result<{ items: Contact[] }[]>} */
  const answer = await sdk.actions.v2.batchByChunk.make({ calls, options: { isHaltOnError: false } });
  return checked(answer).flatMap(({ items }) => items);
}

/** A tutorial's handler of one event: one request to read, one to write. @param {B24OAuth} sdk @param {number} id */
export async function correctOne(sdk, id) {
  const params = { entityTypeId: contactTypeId, id };
  /** @type {import('@bitrix24/b24jssdk').AjaxResult<{ item: Contact }>} */
  const answer = await sdk.actions.v2.call.make({ method: 'crm.item.get', params });
  const contact = checked(answer)?.result.item;
  if (!contact) throw new Error(`contact ${id} was not read`);
  const update = updateOf(contact);
  // Also what an update tells of itself comes here: on that there is nothing left to change.
  if (contact.name !== update.params.fields.name) checked(await sdk.actions.v2.call.make(update));
}

/** @param {Contact} contact */
function updateOf({ id, name, lastName }) {
  const fields = { name: capitalised(name), lastName: capitalised(lastName) };
  return { method: 'crm.item.update', params: { entityTypeId: contactTypeId, id, fields } };
}

/** @param {string} name */
function capitalised(name) {
  return name.charAt(0).toUpperCase() + name.slice(1).toLowerCase();
}

/**
 * @template T
 * @param {{ isSuccess: boolean, getErrorMessages(): string[], getData(): T }} answer
 * @returns {NonNullable<T>}
 */
function checked(answer) {
  const data = answer.getData();
  if (answer.isSuccess && data !== undefined && data !== null) return data;
  throw new Error(`the SDK failed: ${answer.getErrorMessages().slice(0, 3).join('; ')}`);
}
