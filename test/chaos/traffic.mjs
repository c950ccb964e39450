/** What portals send: contact changes, several per contact, messages one by one, and now and then a flood. */
const share = { contacts: 0.6, freshContact: 0.35, flood: 1 / 400 };
const flood = { least: 50, most: 150 };

/**
 * @typedef {object} Portal
 * @property {string} memberId
 * @property {string} domain
 * @property {string} token its application token
 * @property {boolean} isHostile it is called, and answers whatever does most harm; the others are not
 */
/**
 * @typedef {object} Outgoing
 * @property {Portal} portal
 * @property {string} thing as the ledger knows it
 * @property {URLSearchParams} form as Bitrix24 posts it
 */

/** Share of all portals. */
const hostileShare = 0.1;

/** @param {number} count @param {import('./random.mjs').Random} random @returns {Portal[]} */
export function makePortals(count, random) {
  const hex = () => Array.from({ length: 32 }, () => random.between(0, 15).toString(16)).join('');
  return Array.from({ length: count }, (_, index) => ({
    memberId: hex(),
    domain: `portal${index + 1}.example`,
    token: hex(),
    // The first portals are the busiest.
    isHostile: index >= count * (1 - hostileShare),
  }));
}

/** An endless sequence of events. */
export class Traffic {
  /** @type {Map<Portal, number>} the contact whose changes come now */
  #contacts = new Map();
  #messages = 0;
  /** @type {Portal | undefined} */
  #flooded;
  #floodLeft = 0;

  /** @param {readonly Portal[]} portals @param {import('./random.mjs').Random} random */
  constructor(portals, random) {
    this.portals = portals;
    this.random = random;
  }

  /** @returns {Outgoing} */
  next() {
    const portal = this.#nextPortal();
    if (!this.random.chance(share.contacts)) return this.#message(portal);
    const isFresh = !this.#contacts.has(portal) || this.random.chance(share.freshContact);
    const id = (this.#contacts.get(portal) ?? 0) + (isFresh ? 1 : 0);
    this.#contacts.set(portal, id);
    const name = isFresh ? 'ONCRMCONTACTADD' : 'ONCRMCONTACTUPDATE';
    return outgoing(portal, `CRMCONTACT:${id}`, { event: name, 'data[FIELDS][ID]': String(id) });
  }

  /** @param {Portal} portal */
  #message(portal) {
    const id = String(++this.#messages);
    return outgoing(portal, `message ${id}`, {
      event: 'ONIMCONNECTORMESSAGEADD',
      'data[MESSAGE][ID]': id,
      'data[MESSAGE][TEXT]': 'Is it ready?',
    });
  }

  /** The first portals are the busiest. */
  #nextPortal() {
    if (this.#floodLeft === 0 && this.random.chance(share.flood)) {
      this.#flooded = this.random.pick(this.portals);
      this.#floodLeft = this.random.between(flood.least, flood.most);
    }
    if (this.#flooded && this.#floodLeft > 0) {
      this.#floodLeft -= 1;
      return this.#flooded;
    }
    const busy = this.portals.slice(0, Math.max(1, Math.ceil(this.portals.length / 10)));
    return this.random.pick(this.random.chance(0.5) ? busy : this.portals);
  }
}

/** @param {Portal} portal @param {string} thing @param {Record<string, string>} fields @returns {Outgoing} */
function outgoing(portal, thing, fields) {
  const form = new URLSearchParams({
    ...fields,
    ts: String(Math.floor(Date.now() / 1000)),
    'auth[domain]': portal.domain,
    'auth[member_id]': portal.memberId,
    'auth[application_token]': portal.token,
  });
  return { portal, thing, form };
}
