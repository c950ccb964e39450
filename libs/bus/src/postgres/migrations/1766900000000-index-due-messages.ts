import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Two indexes that only statements about due or taken messages can use. With one index of all, whose last column is the
 * id, the planner read that whole index for an id whenever it took the table for empty.
 */
export class IndexDueMessages1766900000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE INDEX messages_due ON bus.messages (consumer, shard, available_at, id) WHERE NOT taken;
      CREATE INDEX messages_taken ON bus.messages (consumer, shard) WHERE taken;
      DROP INDEX bus.messages_next;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE INDEX messages_next ON bus.messages (consumer, shard, taken, available_at, id);
      DROP INDEX bus.messages_due, bus.messages_taken;
    `);
  }
}
