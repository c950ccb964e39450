import { Agent } from 'node:https';
import { AjaxError, ApiVersion, B24Hook, type B24OAuthParams } from '@bitrix24/b24jssdk';
import { TestHandler, type TestSimulator } from './support.js';
import type { TlsFront } from './tls-front.js';

/** The credentials in ONAPPINSTALL, in the form of the official SDK. */
export async function installedParams(b24: TestSimulator, portal: string): Promise<B24OAuthParams> {
  const handler = await TestHandler.start();
  await b24.control('install', { url: handler.url }, portal);
  await handler.close();
  const auth = (key: string): string => handler.forms[0]?.get(`auth[${key}]`) ?? '';
  return {
    applicationToken: auth('application_token'),
    userId: 1,
    memberId: auth('member_id'),
    accessToken: auth('access_token'),
    refreshToken: auth('refresh_token'),
    expires: Math.floor(Date.now() / 1000) + Number(auth('expires_in')),
    expiresIn: Number(auth('expires_in')),
    scope: auth('scope'),
    domain: auth('domain'),
    clientEndpoint: auth('client_endpoint'),
    serverEndpoint: auth('server_endpoint'),
    status: 'L',
  };
}

/** The official SDK with the webhook of the portal behind `front`, trusting its certificate. */
export function webhookOf(
  front: TlsFront,
  secret: string,
  options?: Parameters<typeof B24Hook.fromWebhookUrl>[1],
) {
  const hook = B24Hook.fromWebhookUrl(`${front.url}/rest/1/${secret}/`, options);
  for (const version of [ApiVersion.v2, ApiVersion.v3]) {
    hook.getHttpClient(version).ajaxClient.defaults.httpsAgent = new Agent({ ca: front.certificate });
  }
  return hook;
}

/** The error of the official SDK for a rejected call. */
export async function rejectionOf(call: Promise<unknown>): Promise<[status: number, code: string]> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof AjaxError)) throw new Error('an AjaxError was awaited', { cause: error });
  return [error.status, error.code];
}
