-- A column of a batch is sent as an array; one whose values are all the same as an array of that one, spread out here.
CREATE FUNCTION bus.spread(p_values ANYARRAY, p_rows INT) RETURNS ANYARRAY LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN cardinality(p_values) = 1 THEN array_fill(p_values[1], ARRAY[p_rows]) ELSE p_values END
$$;
