package corpus

func maliciousGroups() []group {
	return []group{
		globalReduce, instCalls, objCalls, newObjCalls, stackGlobals, stackJuggling, resultPopped, buildStates,
		computedGlobals, dottedReexports, extRegistry, persistentIDs, gadgetsOfTheLibrary, gadgetsOfOthers,
		brokenTails, frameTricks, memoConfusion, multiStreams, nestedPickles, noProto, opcodeFloods, protocol5,
		parserDifferentials, sizePadding, stringEscapes,
	}
}

func benignGroups() []group {
	return []group{}
}
