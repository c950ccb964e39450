import { Module, type DynamicModule } from '@nestjs/common';
import type { Log } from '@relay/platform';

/** The consumer's own log, for its controllers and providers: `@Inject(CONSUMER_LOG) log: Log`. */
export const CONSUMER_LOG = Symbol('CONSUMER_LOG');
/** The variable TASK_CONCURRENCY: maximum portals whose tasks this process handles at once. */
export const TASK_CONCURRENCY = Symbol('TASK_CONCURRENCY');

/** What the providers of every consumer may inject. */
@Module({})
export class ConsumerContextModule {
  static of(log: Log, taskConcurrency: number): DynamicModule {
    return {
      module: ConsumerContextModule,
      global: true,
      providers: [
        { provide: CONSUMER_LOG, useValue: log },
        { provide: TASK_CONCURRENCY, useValue: taskConcurrency },
      ],
      exports: [CONSUMER_LOG, TASK_CONCURRENCY],
    };
  }
}
