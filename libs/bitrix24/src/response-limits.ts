const MIB = 1024 * 1024;

/** What a program asks about itself, its user and its events. */
const ABOUT_APPLICATION =
  /^(?:app\.|user\.(?:admin|access|current)$|access\.|scope$|methods?$|method\.|feature\.|profile$|server\.|event\.(?:bind|unbind|get|test)$|events$)/;
const MAX_ABOUT_APPLICATION = MIB;

/** What describes a portal: its types, their fields and the values of those. */
const DESCRIPTIONS =
  /^(?:crm\.(?:type|status|category|enum|currency)\.|userfieldconfig\.|userfieldtype\.)|\.(?:fields|getfields|userfield\.\w+)$/;
const MAX_DESCRIPTIONS = 8 * MIB;

/** One item of the largest that is taken, with what stands round it, or 2,500 of the usual ones. */
const MAX_ITEMS = 16 * MIB + 64 * 1024;

/**
 * How many bytes the answer to a request may have, unpacked: what the largest of its methods brings. The answer that
 * somebody waits for at a door is small; a request for many items can be made smaller.
 *
 * @param methods in lower case
 */
export function maxResponseBytes(methods: readonly string[]): number {
  const all = methods.filter((method) => method !== 'batch').map(maxBytesOf);
  return Math.max(MAX_ABOUT_APPLICATION, ...all);
}

function maxBytesOf(method: string): number {
  if (ABOUT_APPLICATION.test(method)) return MAX_ABOUT_APPLICATION;
  return DESCRIPTIONS.test(method) ? MAX_DESCRIPTIONS : MAX_ITEMS;
}
