const MIB = 1024 * 1024;

/** Methods about the application, its user and its events. */
const ABOUT_APPLICATION =
  /^(?:app\.|user\.(?:admin|access|current)$|access\.|scope$|methods?$|method\.|feature\.|profile$|server\.|event\.(?:bind|unbind|get|test)$|events$)/;
const MAX_ABOUT_APPLICATION = MIB;

/** Metadata of a portal: types, fields and their values. */
const DESCRIPTIONS =
  /^(?:crm\.(?:type|status|category|enum|currency)\.|userfieldconfig\.|userfieldtype\.)|\.(?:fields|getfields|userfield\.\w+)$/;
const MAX_DESCRIPTIONS = 8 * MIB;

/** One item of the maximum size with its envelope, or 2,500 typical items. */
const MAX_ITEMS = 16 * MIB + 64 * 1024;

/**
 * Maximum decompressed bytes of a response: the largest limit of its methods. Responses that an incoming request waits
 * for are small; a request for many items can be split.
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
