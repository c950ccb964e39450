import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ChooseSubscriptions1764960000010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.chosen_subscriptions (
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        consumer text NOT NULL,
        names text[] NOT NULL CHECK (names <> '{}'),
        PRIMARY KEY (member_id, consumer)
      );
      COMMENT ON TABLE portals.chosen_subscriptions IS 'what a consumer wants of one portal, in place of its subscriptions';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.chosen_subscriptions');
  }
}
