import type { MigrationInterface, QueryRunner } from 'typeorm';

export class OrderEndedTasks1765200000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE INDEX tasks_ended ON portals.tasks (consumer, ended_at DESC) WHERE state IN ('done', 'failed');
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX portals.tasks_ended');
  }
}
