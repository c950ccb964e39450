/** Messages of an application frame, in the form of BX24 and b24jssdk. */
export interface FrameMessage {
  method: string;
  params: Record<string, unknown>;
  /** What the answer begins with; empty if none is wanted. */
  callback: string;
  appSid: string;
}

/**
 * `method:params:callback:appSid` with the parameters in JSON, whose colons separate nothing; or an object of the
 * same. Undefined for anything else: a page may post what it likes.
 */
export function parseFrameMessage(data: unknown): FrameMessage | undefined {
  if (typeof data === 'string') {
    const parts = data.split(':');
    const [method = '', ...rest] = parts;
    const [callback = '', appSid = ''] = rest.splice(Math.max(0, rest.length - 2));
    const params = parseParams(rest.join(':'));
    return params && { method, params, callback, appSid };
  }
  if (!isRecord(data)) return undefined;
  const { method, params, callback, appSid } = data;
  if (typeof method !== 'string' || typeof appSid !== 'string') return undefined;
  return {
    method,
    params: isRecord(params) ? params : {},
    callback: typeof callback === 'string' ? callback : '',
    appSid,
  };
}

function parseParams(text: string): Record<string, unknown> | undefined {
  if (text === '') return {};
  try {
    const parsed: unknown = JSON.parse(text);
    return isRecord(parsed) ? parsed : { value: parsed };
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
