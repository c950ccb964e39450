import { describe, expect, it } from '@jest/globals';
import { parseFrameMessage } from './frame-message.js';

describe('a message of an application frame', () => {
  it('has a method, parameters, a callback and the session', () => {
    expect(parseFrameMessage('setTitle:{"title":"a: b:c"}:cb1:sid1')).toEqual({
      method: 'setTitle',
      params: { title: 'a: b:c' },
      callback: 'cb1',
      appSid: 'sid1',
    });
  });

  it('may have no parameters', () => {
    // As b24jssdk and as BX24 send it.
    for (const text of ['getInitData:cb1:sid1', 'getInitData::cb1:sid1']) {
      expect(parseFrameMessage(text)).toMatchObject({ method: 'getInitData', params: {}, appSid: 'sid1' });
    }
  });

  it('may be an object', () => {
    const message = { method: 'a:b', params: { x: 1 }, callback: 'cb', appSid: 'sid' };
    expect(parseFrameMessage({ ...message, requestId: 7 })).toEqual(message);
    expect(parseFrameMessage({ method: 'a:b', appSid: 'sid' })).toEqual({
      method: 'a:b',
      params: {},
      callback: '',
      appSid: 'sid',
    });
  });

  it.each([
    undefined,
    null,
    7,
    [],
    {},
    { method: 'x' },
    { method: 1, appSid: 'sid' },
    'setTitle:{broken:cb:sid',
  ])('is not %p', (data) => {
    expect(parseFrameMessage(data)).toBeUndefined();
  });

  it('without its parts belongs to no session', () => {
    for (const text of ['', 'hello', 'hello:x']) expect(parseFrameMessage(text)?.appSid).toBe('');
  });
});
