import { check, compose, docker, step, until } from './stack.mjs';

/** The gateway notices within half a minute. */
const noticeTimeoutMs = 60_000;

/** The services of a version that had no control plane: who upgrades and forgets the new service is told. @param {string[]} up */
export async function isMissedWhereItIsForgotten(up) {
  await step(
    'up without a control plane',
    compose(...up, '--build', '--wait-timeout', '300', '--scale', 'control-plane=0'),
  );
  await until(noticeTimeoutMs, async () => {
    const ready =
      "fetch('http://127.0.0.1:9100/health/ready').then(async (r) => console.log(await r.text()))";
    const { stdout } = await compose('exec', '-T', 'gateway', 'node', '-e', ready);
    const { status, reasons } = JSON.parse(stdout);
    const isTold = status === 'degraded' && /No control plane reports/.test(reasons?.['control plane'] ?? '');
    return isTold ? undefined : `the gateway does not miss the control plane: ${stdout}`;
  });
  console.log('compose: a gateway without a control plane says so');
  const { ok, stderr } = await compose('exec', '-T', 'gateway', 'relay', 'portals');
  check('relay in the gateway says where the admin API should be', !ok && /control plane/.test(stderr));
}

/** @param {string[]} up */
export async function isAddedInTwoReplicas(up) {
  await step(
    'the control plane is added',
    compose(...up, '--wait-timeout', '120', '--scale', 'control-plane=2'),
  );
  check('two replicas of it run', (await replicas()).length === 2);
}

/** One of the two, whichever leads. */
export async function isKilled() {
  const [first = ''] = await replicas();
  await step('one control plane is killed', docker('kill', first));
  check('the other one runs', (await replicas()).length === 1);
}

async function replicas() {
  const { stdout } = await compose('ps', '-q', '--status', 'running', 'control-plane');
  return stdout.trim().split('\n');
}
