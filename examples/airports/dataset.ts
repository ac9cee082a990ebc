import { readFileSync } from 'node:fs'
import { parse } from 'csv-parse/sync'
import { type Location, regionOf } from './geography.js'

/** One line of the input: how many flights went from one airport to another in 2008. */
export interface Route {
  /** Its place in the file, which names it. */
  readonly row: number
  readonly origin: string
  readonly destination: string
  readonly flights: number
}

/** How the input is divided: a shard is worked on by one process at a time, a batch is written in one transaction. */
export interface Plan {
  readonly rows: number
  readonly shards: number
  readonly batchSize: number
}

/** The routes of the package `vega-datasets`: 5,366 rows, 7,009,728 flights. */
export function readRoutes(limit: number): Route[] {
  return readTable<{ origin: string; destination: string; count: string }>('flights-airport.csv')
    .slice(0, limit)
    .map(({ origin, destination, count }, row) => ({ row, origin, destination, flights: Number(count) }))
}

/** All 3,376 airports by their IATA code. */
export function readLocations(): Map<string, Location> {
  const airports = readTable<{ iata: string; state: string; latitude: string; longitude: string }>('airports.csv')
  return new Map(
    airports.map(({ iata, state, latitude, longitude }) => [
      iata,
      { region: regionOf(state), latitude: Number(latitude), longitude: Number(longitude) },
    ]),
  )
}

/** The batches of one shard, in order. Every process that reads the same file with the same plan gets the same ones. */
export function batchesOf(shard: number, routes: readonly Route[], { shards, batchSize }: Plan): Route[][] {
  const perShard = Math.ceil(routes.length / shards)
  const own = routes.slice(shard * perShard, (shard + 1) * perShard)
  return Array.from({ length: Math.ceil(own.length / batchSize) }, (_, batch) =>
    own.slice(batch * batchSize, (batch + 1) * batchSize),
  )
}

function readTable<Row>(name: string): Row[] {
  const file = new URL(`../data/${name}`, import.meta.resolve('vega-datasets'))
  return parse<Row>(readFileSync(file), { columns: true })
}
