import { sql } from 'drizzle-orm'
import { bigint, int, type MySqlDatabase, mysqlTable, primaryKey, varchar } from 'drizzle-orm/mysql-core'
import type { MySql2PreparedQueryHKT, MySql2QueryResultHKT } from 'drizzle-orm/mysql2'

/** The import's own database, or a transaction in it. */
export type ImportDatabase = MySqlDatabase<MySql2QueryResultHKT, MySql2PreparedQueryHKT>

/** The imported rows. Nothing here prevents a row from being there twice: the audit would see it. */
export const routes = mysqlTable('demo_routes', {
  id: int('id').autoincrement().primaryKey(),
  row: int('row_in_file').notNull(),
  origin: varchar('origin', { length: 8 }).notNull(),
  destination: varchar('destination', { length: 8 }).notNull(),
  originRegion: varchar('origin_region', { length: 16 }).notNull(),
  destinationRegion: varchar('destination_region', { length: 16 }).notNull(),
  flights: int('flights').notNull(),
  kilometres: int('kilometres').notNull(),
})

/** Counters that every batch adds to: adding a batch twice would show. */
export const airports = mysqlTable('demo_airports', {
  iata: varchar('iata', { length: 8 }).primaryKey(),
  region: varchar('region', { length: 16 }).notNull(),
  departures: bigint('departures', { mode: 'number' }).notNull(),
  arrivals: bigint('arrivals', { mode: 'number' }).notNull(),
})

/** The largest fencing token that has written to a shard: older ones are refused. */
export const shards = mysqlTable('demo_shards', {
  shard: int('shard').primaryKey(),
  fence: bigint('fence', { mode: 'number' }).notNull(),
  attempts: int('attempts').notNull(),
})

/** The batches that were applied: each can be entered once. */
export const batches = mysqlTable(
  'demo_batches',
  {
    shard: int('shard').notNull(),
    batch: int('batch').notNull(),
    fence: bigint('fence', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.shard, table.batch] })],
)

const names = ['demo_routes', 'demo_airports', 'demo_shards', 'demo_batches']

const definitions = [
  `create table demo_routes (
    id int auto_increment primary key, row_in_file int not null, origin varchar(8) not null,
    destination varchar(8) not null, origin_region varchar(16) not null, destination_region varchar(16) not null,
    flights int not null, kilometres int not null) engine=InnoDB`,
  `create table demo_airports (
    iata varchar(8) primary key, region varchar(16) not null, departures bigint not null,
    arrivals bigint not null) engine=InnoDB`,
  'create table demo_shards (shard int primary key, fence bigint not null, attempts int not null) engine=InnoDB',
  `create table demo_batches (
    shard int not null, batch int not null, fence bigint not null, primary key (shard, batch)) engine=InnoDB`,
]

/** Creates the tables anew, with one row for each shard. */
export async function createTables(database: ImportDatabase, shardCount: number): Promise<void> {
  await dropTables(database)
  for (const definition of definitions) await database.execute(sql.raw(definition))
  await database
    .insert(shards)
    .values(Array.from({ length: shardCount }, (_, shard) => ({ shard, fence: 0, attempts: 0 })))
}

export async function dropTables(database: ImportDatabase): Promise<void> {
  await database.execute(sql.raw(`drop table if exists ${names.join(', ')}`))
}
