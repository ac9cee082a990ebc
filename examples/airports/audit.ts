import { getTableColumns } from 'drizzle-orm'
import { type AirportTotal, airportTotals, type EnrichedRoute } from './geography.js'
import { airports, type ImportDatabase, routes } from './tables.js'

/** What an import has left: its rows, each as often as it was applied, and the counters of the airports. */
export interface Outcome {
  readonly routes: readonly EnrichedRoute[]
  readonly airports: readonly AirportTotal[]
}

/** One figure, as computed in one go and as found in the database. */
export interface Figure {
  readonly name: string
  readonly expected: number
  readonly found: number
}

/** What is wrong with an import; nothing is, if all the lists are empty and all the figures agree. */
export interface AuditReport {
  readonly isClean: boolean
  readonly figures: readonly Figure[]
  /** Row numbers that were never applied, that were applied more than once, and that differ. */
  readonly lost: readonly number[]
  readonly duplicated: readonly number[]
  readonly altered: readonly number[]
  /** Airports whose counters differ. */
  readonly miscounted: readonly string[]
}

/** The whole import by a single process in memory. */
export function computeInMemory(enriched: readonly EnrichedRoute[]): Outcome {
  return { routes: enriched, airports: airportTotals(enriched) }
}

/** What the workers have left in the database. */
export async function readOutcome(database: ImportDatabase): Promise<Outcome> {
  const { id: _, ...columns } = getTableColumns(routes)
  return {
    routes: await database.select(columns).from(routes),
    airports: await database.select().from(airports),
  }
}

/** Compares what was found with what should be there: row by row, airport by airport, and in total. */
export function audit(expected: Outcome, found: Outcome): AuditReport {
  const copies = new Map<number, EnrichedRoute[]>()
  for (const route of found.routes) copies.set(route.row, [...(copies.get(route.row) ?? []), route])
  const known = new Map(expected.routes.map((route) => [route.row, route]))

  const lost = expected.routes.map(({ row }) => row).filter((row) => !copies.has(row))
  const duplicated = [...copies].filter(([, routes]) => routes.length > 1).map(([row]) => row)
  const altered = [...copies]
    .filter(([row, routes]) => routes.some((route) => !isSameRoute(route, known.get(row))))
    .map(([row]) => row)

  const expectedAirports = new Map(expected.airports.map((airport) => [airport.iata, airport]))
  const foundAirports = new Map(found.airports.map((airport) => [airport.iata, airport]))
  const miscounted = [...new Set([...expectedAirports.keys(), ...foundAirports.keys()])].filter(
    (iata) => !isSameAirport(foundAirports.get(iata), expectedAirports.get(iata)),
  )

  const figures = Object.entries(totals).map(([name, total]) => ({
    name,
    expected: total(expected),
    found: total(found),
  }))
  const isClean =
    [lost, duplicated, altered, miscounted].every((list) => list.length === 0) &&
    figures.every((figure) => figure.expected === figure.found)
  return { isClean, figures, lost, duplicated, altered, miscounted }
}

const totals: Record<string, (outcome: Outcome) => number> = {
  routes: ({ routes }) => routes.length,
  flights: ({ routes }) => sum(routes, ({ flights }) => flights),
  'flight kilometres': ({ routes }) => sum(routes, ({ flights, kilometres }) => flights * kilometres),
  'flights between regions': ({ routes }) =>
    sum(routes, ({ flights, originRegion, destinationRegion }) => (originRegion === destinationRegion ? 0 : flights)),
  airports: ({ airports }) => airports.length,
  departures: ({ airports }) => sum(airports, ({ departures }) => departures),
  arrivals: ({ airports }) => sum(airports, ({ arrivals }) => arrivals),
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}

function isSameRoute(a: EnrichedRoute, b: EnrichedRoute | undefined): boolean {
  return (
    b !== undefined &&
    a.origin === b.origin &&
    a.destination === b.destination &&
    a.originRegion === b.originRegion &&
    a.destinationRegion === b.destinationRegion &&
    a.flights === b.flights &&
    a.kilometres === b.kilometres
  )
}

function isSameAirport(a: AirportTotal | undefined, b: AirportTotal | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.region === b.region &&
    a.departures === b.departures &&
    a.arrivals === b.arrivals
  )
}
