import type { Route } from './dataset.js'

/** Where an airport lies: what the enrichment service knows and the import needs. */
export interface Location {
  readonly region: string
  readonly latitude: number
  readonly longitude: number
}

// The regions of the United States Census Bureau.
const regions: Record<string, string> = {
  Northeast: 'CT MA ME NH NJ NY PA RI VT',
  Midwest: 'IA IL IN KS MI MN MO ND NE OH SD WI',
  South: 'AL AR DC DE FL GA KY LA MD MS NC OK SC TN TX VA WV',
  West: 'AK AZ CA CO HI ID MT NM NV OR UT WA WY',
}

/** The region of a state; everything that is no state is a territory. */
export function regionOf(state: string): string {
  const found = Object.entries(regions).find(([, states]) => states.split(' ').includes(state))
  return found?.[0] ?? 'Territories'
}

const MEAN_RADIUS_OF_THE_EARTH = 6371

/** Kilometres along the great circle, rounded to whole ones so that sums can be compared exactly. */
export function kilometresBetween(a: Location, b: Location): number {
  const [latitudeA, longitudeA, latitudeB, longitudeB] = [a.latitude, a.longitude, b.latitude, b.longitude].map(
    (degrees) => (degrees * Math.PI) / 180,
  ) as [number, number, number, number]
  const haversine =
    Math.sin((latitudeB - latitudeA) / 2) ** 2 +
    Math.cos(latitudeA) * Math.cos(latitudeB) * Math.sin((longitudeB - longitudeA) / 2) ** 2
  return Math.round(2 * MEAN_RADIUS_OF_THE_EARTH * Math.asin(Math.sqrt(haversine)))
}

/** A route with what the import adds to it. */
export interface EnrichedRoute extends Route {
  readonly originRegion: string
  readonly destinationRegion: string
  readonly kilometres: number
}

/** What is counted of an airport. */
export interface AirportTotal {
  readonly iata: string
  readonly region: string
  departures: number
  arrivals: number
}

/** Adds region and distance to routes whose airports are all known. */
export function enrichRoutes(routes: readonly Route[], locations: ReadonlyMap<string, Location>): EnrichedRoute[] {
  const locationOf = (iata: string) => {
    const location = locations.get(iata)
    if (location === undefined) throw new Error(`nobody knows where ${iata} lies`)
    return location
  }
  return routes.map((route) => {
    const [from, to] = [locationOf(route.origin), locationOf(route.destination)]
    return {
      ...route,
      originRegion: from.region,
      destinationRegion: to.region,
      kilometres: kilometresBetween(from, to),
    }
  })
}

/** What the routes add up to for each airport, in the order of their codes. */
export function airportTotals(routes: readonly EnrichedRoute[]): AirportTotal[] {
  const totals = new Map<string, AirportTotal>()
  const totalOf = (iata: string, region: string) => {
    const total = totals.get(iata) ?? { iata, region, departures: 0, arrivals: 0 }
    totals.set(iata, total)
    return total
  }
  for (const { origin, destination, originRegion, destinationRegion, flights } of routes) {
    totalOf(origin, originRegion).departures += flights
    totalOf(destination, destinationRegion).arrivals += flights
  }
  return [...totals.values()].sort((a, b) => (a.iata < b.iata ? -1 : 1))
}
