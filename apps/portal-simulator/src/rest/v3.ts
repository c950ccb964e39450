import { respond, type RestResponse } from '../http/response.js';
import type { Portal } from '../portal/portal.js';
import { isTree, listOf, textOf, type Value, type Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';
import { timeOf, type RequestClock, type RestRequest } from './request.js';

const DOCUMENTATION_NAMES = ['rest.documentation.openapi', 'documentation'];

/** REST 3.0 (api-reference/rest-v3.md): documentation, `batch` and its form of errors. It has no CRM methods. */
export function handleV3(portal: Portal, request: RestRequest, clock: RequestClock): RestResponse {
  const name = request.method.toLowerCase();
  portal.stats.countCall(`v3:${name}`);
  const response = respond(() => {
    const result = name === 'batch' ? runBatch(request.params) : run(name);
    return { result, time: timeOf(clock, clock.arrivedMs) };
  });
  if (response.status === 200) return response;
  const { error, error_description: message } = response.body;
  return { ...response, body: { error: { code: error ?? '', message: message ?? '' } } };
}

function run(name: string): Value {
  if (!DOCUMENTATION_NAMES.includes(name)) {
    const code = 'BITRIX_REST_V3_EXCEPTION_METHODNOTFOUNDEXCEPTION';
    throw new RestError(code, `Method \`${name}\` not found`, 404);
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Bitrix24 REST V3 API', version: '1.0.0' },
    tags: [],
    paths: Object.fromEntries(['batch', ...DOCUMENTATION_NAMES].map((one) => [`/${one}`, {}])),
  };
}

/** All or nothing: the first error is the response. */
function runBatch(params: Values): Value[] {
  return listOf(params).flatMap((call) => {
    if (!isTree(call)) return [];
    return [run((textOf(call['method']) ?? '').toLowerCase())];
  });
}
